"""Networks for other people's projects: plain PyTorch source, safetensors, ONNX, torch.export, checked against the
original; and all of them as one bundle."""
