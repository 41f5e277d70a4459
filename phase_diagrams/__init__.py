"""The science of saephase: specs, trials, scores, theory, statistics, the folder and the figures."""
