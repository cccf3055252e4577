"""Initial weights of a Q-Former from a local folder with BLIP-2's; a weight that is missing is an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ammrg.errors import SettingsError

if TYPE_CHECKING:
    from transformers import Blip2QFormerModel

_SETTINGS = {
    # field of the folder's config.json: its name in this project
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "intermediate",
    "cross_attention_frequency": "cross_attention_every",
    "encoder_hidden_size": "width of the encoder's tokens",
    "hidden_act": "activation",
    "layer_norm_eps": "layer norm's epsilon",
    "use_qformer_text_input": "text input",
}
_READS_TOKENS = tuple(
    f"crossattention.attention.{part}.{kind}" for part in ("key", "value") for kind in ("weight", "bias")
)


def start_from_blip2(qformer: Blip2QFormerModel, folder: str, new_token_maps: bool = False) -> None:
    """Load a folder's weights into a Q-Former.

    Args:
        qformer: with the same sizes as the folder's.
        folder: written by ``save_pretrained`` of a ``Blip2QFormerModel`` or of a complete BLIP-2 (only its ``qformer``
            part is read); safetensors.
        new_token_maps: do not load the key and value maps of cross-attention. BLIP-2's read the 1408-d tokens of its
            own ViT-g; tokens of another encoder need other maps.

    Raises:
        SettingsError: the folder is missing, has another size or activation, or its weights are missing, left over or
            of another shape.
    """
    from transformers import Blip2QFormerConfig

    if not (Path(folder) / "config.json").is_file():
        raise SettingsError(f"qformer.blip2: {folder!r} is no folder with a config.json; name one that holds a BLIP-2.")
    theirs, ours = Blip2QFormerConfig.from_pretrained(folder), qformer.config
    different = [
        f"{name} is {getattr(theirs, field)} there, {getattr(ours, field)} here"
        for field, name in _SETTINGS.items()
        if getattr(theirs, field) != getattr(ours, field) and not (new_token_maps and field == "encoder_hidden_size")
    ]
    if different:
        advice = ""
        if theirs.encoder_hidden_size != ours.encoder_hidden_size and not new_token_maps:
            advice = " Set qformer.new_token_maps: true to train the maps that read the tokens from scratch."
        raise SettingsError(f"qformer.blip2: {folder} does not fit: {'; '.join(different)}.{advice}")
    weights = _weights(Path(folder), whole=Blip2QFormerConfig.get_config_dict(folder)[0]["model_type"] == "blip-2")
    if new_token_maps:
        weights = {name: tensor for name, tensor in weights.items() if not name.endswith(_READS_TOKENS)}
    wanted = {
        name: tensor
        for name, tensor in qformer.state_dict().items()
        if not (new_token_maps and name.endswith(_READS_TOKENS))
    }
    wrong = [f"{name} is missing" for name in wanted.keys() - weights.keys()]
    wrong += [f"{name} is left over" for name in weights.keys() - wanted.keys()]
    wrong += [
        f"{name} is {list(weights[name].shape)}, not {list(wanted[name].shape)}"
        for name in wanted.keys() & weights.keys()
        if weights[name].shape != wanted[name].shape
    ]
    if wrong:
        raise SettingsError(
            f"qformer.blip2: {len(wrong)} weights of {folder} do not fit: {'; '.join(sorted(wrong)[:5])}"
            f"{'; ...' if len(wrong) > 5 else ''}."
        )
    qformer.load_state_dict(weights, strict=not new_token_maps)


def _weights(folder: Path, whole: bool) -> dict[str, Tensor]:
    """Read the weights of the Q-Former, in float32, from its own folder or from a complete BLIP-2 (``whole``)."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise SettingsError(
            f"qformer.blip2: {folder} holds no *.safetensors; save the model there with save_pretrained."
        )
    prefix = "qformer." if whole else ""
    found = {}
    try:
        for file in files:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - not a dict
                    if name.startswith(prefix):
                        found[name.removeprefix(prefix)] = tensors.get_tensor(name).float()
    except (SafetensorError, OSError) as error:
        raise SettingsError(f"qformer.blip2: the weights in {folder} cannot be read: {error}") from error
    return found
