"""Guests: networks that torchvision and timm make, which may stand as baselines wherever one of ours may."""
