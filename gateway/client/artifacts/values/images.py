"""
Write images: those of PIL, and arrays of numpy, PyTorch and other libraries. Imports PIL, and nothing else.
"""

from __future__ import annotations

import os

from gateway.client.guards import Refused, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
NO_ALPHA = (".jpg", ".jpeg")


def write_image(image: Any, path: str) -> None:
    """
    Write an image in the format that the suffix names. Raises Refused.

    An array is height × width, height × width × channels or, as PyTorch has it, channels × height × width, of 1, 3 or 4
    channels. Numbers with a fraction are brightness from 0 to 1, integers from 0 to 255, booleans black and white;
    values beyond are cut, and NaN is 0.
    """
    if not hasattr(image, "save") or not hasattr(image, "convert"):
        image = _from_array(image)
    if os.path.splitext(path)[1].lower() in NO_ALPHA and image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    try:
        image.save(path)
    except (ValueError, KeyError, OSError) as error:  # of an unknown suffix, or a mode that the format does not have
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk
        raise Refused("image", f"PIL cannot write this ({error}): give a name that ends in .png") from error


def _from_array(image: Any) -> Any:
    """Return the PIL image of an array. Raises Refused."""
    for step in ("detach", "cpu", "numpy"):  # of a tensor, which may be on a GPU and part of a graph
        if hasattr(image, step):
            image = getattr(image, step)()
    if not hasattr(image, "__array_interface__"):
        raise Refused("image", f"a {type_name(image)} is no image: give an image of PIL, or an array")
    shape = tuple(image.shape)
    if len(shape) == 3 and shape[0] in CHANNELS and shape[2] not in CHANNELS:
        image, shape = image.transpose(1, 2, 0), (*shape[1:], shape[0])
    if len(shape) == 3 and shape[2] == 1:
        image, shape = image[:, :, 0], shape[:2]
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in CHANNELS) or 0 in shape:
        raise Refused("image", f"an array of shape {shape} is no image: give height × width (× 1, 3 or 4)")
    try:
        from PIL import Image
    except ImportError:
        raise Refused("image", "PIL is not installed, which writes images: install pillow") from None
    return Image.fromarray(_bytes_of(image))


def _bytes_of(array: Any) -> Any:
    """Return an array of unsigned bytes. Its own methods are used: numpy is not imported."""
    kind = array.dtype.kind
    if kind == "b":
        return array.astype("uint8") * 255
    if kind in "ui":
        return array.clip(0, 255).astype("uint8")
    if kind != "f":
        raise Refused("image", f"an array of {array.dtype} is no image: give numbers")
    known = array.copy()
    known[known != known] = 0  # noqa: PLR0124 -- NaN is what differs from itself
    return (known.clip(0, 1) * 255).round().astype("uint8")
