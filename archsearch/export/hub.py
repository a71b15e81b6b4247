"""The folder for the Hugging Face hub: a class with PyTorchModelHubMixin, its weights and its config."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

FOLDER = "huggingface"
HUB = '''\
"""The network as the Hugging Face hub knows it. Needs torch, safetensors and huggingface_hub.

    model = Model.from_pretrained("this folder, or a repository")
    model.push_to_hub("you/your-model")
"""

from huggingface_hub import PyTorchModelHubMixin
from model import Network


class Model(Network, PyTorchModelHubMixin):
    """`from_pretrained` has the weights and is in eval mode; config.json says how images are read."""
'''


def write_hub(bundle: Path, page: str, config: dict[str, Any]) -> None:
    """huggingface/ in a bundle that has model.py and weights.safetensors: nothing of it is written anew but names."""
    folder = bundle / FOLDER
    folder.mkdir()
    shutil.copyfile(bundle / "model.py", folder / "model.py")
    shutil.copyfile(bundle / "weights.safetensors", folder / "model.safetensors")
    (folder / "hub.py").write_text(HUB)
    (folder / "config.json").write_text(json.dumps({"preprocessing": config}, indent=1, ensure_ascii=False) + "\n")
    front = "---\nlibrary_name: pytorch\npipeline_tag: image-classification\ntags: [pytorch_model_hub_mixin]\n---\n\n"
    (folder / "README.md").write_text(front + page)
