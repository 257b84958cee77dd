"""What `src.explain` takes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from src.config.backbones import BACKBONES, BackboneName
from src.config.section import Location, Megapixels, Section, Side, Text

Method = Literal["deconvnet", "saliency", "guided"]


def _maps(value: Any) -> Any:
    numbers = value if isinstance(value, list) else [value]
    whole = numbers and all(type(number) is int and number >= 0 for number in numbers)
    if value not in ("strongest", "all") and not whole:
        raise ValueError(
            "expected maps= as strongest, all, or numbers from 0 on such as [3,17]; "
            f"received {value}"
        )
    return value


def _methods(value: Any) -> Any:
    methods = value if isinstance(value, list) else [value]
    if not methods or not all(method in get_args(Method) for method in methods):
        raise ValueError(
            f"expected method= as {', '.join(get_args(Method))}, or a list of these; "
            f"received {value}"
        )
    return value


class Network(Section):
    """A network from elsewhere.

    Attributes:
        named_weights: what `weights` may be instead of a file.
        name: a network of `keras.applications`; null for that of a run.
        weights: a file of its weights that Keras wrote (`.h5`, `.weights.h5`, `.keras`), `imagenet`
            for Keras' own, to be downloaded, or `random`.
        size: pixels of the shorter side that pictures are scaled to; null for the side of those
            that it was trained on.
    """

    named_weights: ClassVar[tuple[str, ...]] = ("imagenet", "random")

    name: BackboneName | None = None
    weights: Location | None = None
    size: Annotated[Side, Field(ge=75)] | None = None

    @model_validator(mode="after")
    def _weights_are_named(self) -> Network:
        if self.name is None and (self.weights or self.size):
            key = "weights" if self.weights else "size"
            raise ValueError(
                f"expected model={'|'.join(BACKBONES)} beside it; "
                f"received model.{key}={getattr(self, key)}"
            )
        if self.name and self.weights is None:
            raise ValueError(
                "expected model.weights=<a file that Keras wrote>, imagenet or random with "
                f"model={self.name}; received none"
            )
        return self


class Explain(Section):
    """Whose layers are looked into, and at which pictures.

    Attributes:
        run: the run's folder, or `latest`: the one last begun under `outputs/`.
        checkpoint: the best by the watched metric on the validation set, or the last.
        layer: one, a list such as `[conv1,conv2]`, or `all` that have maps and an activation.
        maps: `strongest` for the nine with the strongest activations, `all`, or the numbers of
            some, counted from 0, such as `[3,17]`.
        top: how many of its strongest activations each map shows, each from another picture.
        method: `deconvnet`, `saliency` or `guided`, or a list of them, side by side.
        split: part of the data set in which the activations are looked for.
        input: a picture (png, jpg, jpeg, gif, bmp, webp) or a folder of them to look at instead
            of a split.
        max_megapixels: millions of pixels that such a picture may have.
        model: a network from elsewhere, in the place of a run's.
    """

    model: Network = Network()
    run: Text
    checkpoint: Literal["best", "last"] = "best"
    layer: Text | list[Text] = "all"
    maps: Annotated[str | int | list[int], BeforeValidator(_maps)] = "strongest"
    top: Annotated[int, Field(ge=1, le=100)] = 9
    method: Annotated[Method | list[Method], BeforeValidator(_methods)] = "deconvnet"
    split: Literal["train", "val", "test"] = "val"
    input: Text | None = None
    max_megapixels: Megapixels = 100

    @property
    def layers(self) -> list[str]:
        """The layers asked for, each once."""
        return list(dict.fromkeys([self.layer] if isinstance(self.layer, str) else self.layer))

    @property
    def methods(self) -> list[Method]:
        """The methods asked for, each once."""
        return list(dict.fromkeys([self.method] if isinstance(self.method, str) else self.method))

    @model_validator(mode="after")
    def _a_network_from_elsewhere_has_pictures(self) -> Explain:
        if self.model.name and self.input is None:
            raise ValueError(
                "expected input=<a picture or a folder of them> for a network from elsewhere; "
                f"received model={self.model.name} without"
            )
        if self.model.name and self.run != "latest":
            raise ValueError(
                f"expected run= or model=, not both; received run={self.run} and "
                f"model={self.model.name}"
            )
        return self

    @model_validator(mode="after")
    def _a_layer_is_asked_for(self) -> Explain:
        if self.layer == []:
            raise ValueError("expected at least one in layer=; received layer=[]")
        return self
