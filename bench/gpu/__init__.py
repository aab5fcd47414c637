"""The GPU's kernels and training steps beside cuBLAS, cuDNN, FlashAttention and PyTorch: `python -m bench.gpu`."""
