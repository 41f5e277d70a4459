# saephase in one image. CPU by default; a CUDA image is the same with another torch:
#   docker build -t saephase .
#   docker build -t saephase:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
#   docker run --rm -v "$PWD/runs:/runs" saephase run /app/examples/quickstart.yaml --out /runs/quickstart
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN useradd --create-home --uid 1000 saephase
WORKDIR /app

RUN pip install --no-cache-dir "torch>=2.9,<2.14" --index-url "$TORCH_INDEX"
COPY pyproject.toml README.md LICENSE ./
COPY phase_diagrams phase_diagrams
COPY workers workers
COPY service service
COPY saephase saephase
RUN pip install --no-cache-dir .
COPY examples examples

# Compiled kernels are kept here: the folder of the installed package is not writable for the user.
ENV NUMBA_CACHE_DIR=/home/saephase/.cache/numba
USER saephase
# Ray keeps its object store in shared memory: give the container --shm-size=2g for large jobs.
ENTRYPOINT ["saephase"]
CMD ["--help"]
