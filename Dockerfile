# saephase in one image. CPU by default; a CUDA image is the same with another torch:
#   docker build -t saephase .
#   docker build -t saephase:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
#   docker run --rm -v "$PWD/runs:/runs" saephase run /app/examples/quickstart.yaml --out /runs/quickstart
# docker-compose.yml runs the service with it.
FROM python:3.12.11-slim-bookworm

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

USER saephase
# Compiled kernels are kept here: the folder of the installed package is not writable for the user. Made now, so that a
# volume in its place belongs to the user too.
ENV NUMBA_CACHE_DIR=/home/saephase/.cache/numba
RUN mkdir -p "$NUMBA_CACHE_DIR"
# Python puts the current folder first, where the sources lie that the installed package was made from.
WORKDIR /home/saephase
# Ray keeps its object store in shared memory: give the container --shm-size=2g for large jobs.
ENTRYPOINT ["saephase"]
CMD ["--help"]
