"""A Q-Former that starts from BLIP-2's weights, out of a local folder; nothing is left random unsaid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ammrg.errors import SettingsError

if TYPE_CHECKING:
    from transformers import Blip2QFormerModel

_SETTINGS = {
    # of the folder's config.json: what it is called here
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "intermediate",
    "cross_attention_frequency": "cross_attention_every",
    "encoder_hidden_size": "width of the tokens it reads",
    "hidden_act": "activation",
    "layer_norm_eps": "layer norm's epsilon",
    "use_qformer_text_input": "text input",
}
_READS_TOKENS = tuple(
    f"crossattention.attention.{part}.{kind}" for part in ("key", "value") for kind in ("weight", "bias")
)


def start_from_blip2(qformer: Blip2QFormerModel, folder: str, new_token_maps: bool = False) -> None:
    """Fills a Q-Former with the weights of a folder.

    Args:
        qformer: of the folder's sizes.
        folder: written by ``save_pretrained`` of a ``Blip2QFormerModel`` or of a whole BLIP-2 (its ``qformer`` part is
            taken); safetensors.
        new_token_maps: leave the key and value maps of cross-attention as they are. BLIP-2's read 1408-d tokens of its
            own ViT-g; another encoder's tokens need maps of their own.

    Raises:
        SettingsError: no such folder, another size or activation, or weights missing, left over or of another shape.
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
        cure = ""
        if theirs.encoder_hidden_size != ours.encoder_hidden_size and not new_token_maps:
            cure = " qformer.new_token_maps: true trains the maps that read the tokens anew."
        raise SettingsError(f"qformer.blip2: {folder} does not fit: {'; '.join(different)}.{cure}")
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
    """Of the Q-Former alone, in float32; of a whole BLIP-2 nothing else is read."""
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
