"""The folder for the Hugging Face Hub: a class with PyTorchModelHubMixin, its weights and its config."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

FOLDER = "huggingface"
FILES = {
    "model.py": "the network in plain PyTorch",
    "model.safetensors": "its weights",
    "hub.py": "`Model.from_pretrained` and `push_to_hub`",
    "config.json": "preprocessing: labels, size, resizing, mean, standard deviation",
}
HUB = '''\
"""The network for the Hugging Face Hub. Needs torch, safetensors and huggingface_hub.

    model = Model.from_pretrained("this folder, or a repository")
    model.push_to_hub("you/your-model")
"""

from huggingface_hub import PyTorchModelHubMixin
from model import Network


class Model(Network, PyTorchModelHubMixin):
    """`from_pretrained` returns the network with its weights, in eval mode; config.json has the preprocessing."""
'''


def write_hub(bundle: Path, page: str, config: dict[str, Any]) -> None:
    """Writes huggingface/ into a bundle that has model.py and weights.safetensors already. `page` is the model card,
    which lists `FILES`; `config` the preprocessing."""
    folder = bundle / FOLDER
    folder.mkdir()
    shutil.copyfile(bundle / "model.py", folder / "model.py")
    shutil.copyfile(bundle / "weights.safetensors", folder / "model.safetensors")
    (folder / "hub.py").write_text(HUB)
    (folder / "config.json").write_text(json.dumps({"preprocessing": config}, indent=1, ensure_ascii=False) + "\n")
    front = "---\nlibrary_name: pytorch\npipeline_tag: image-classification\ntags: [pytorch_model_hub_mixin]\n---\n\n"
    (folder / "README.md").write_text(front + page)
