"""The known data sets: files, sources and licences. Importing this module needs neither torch nor numpy."""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.options import unknown


@dataclass(frozen=True)
class File:
    """One file of a data set.

    `size`, `md5` and `sha256` describe the content: the unpacked bytes if `gzipped` (so a repacked copy is accepted),
    otherwise the file itself. None: not known.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None
    md5: str | None
    limit_bytes: int  # a larger download is refused
    gzipped: bool = False
    sha256: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which the file is accepted: as published, or unpacked."""
        return (self.name, self.name.removesuffix(".gz")) if self.gzipped else (self.name,)

    @property
    def digest(self) -> tuple[str, str] | None:
        """(algorithm, expected digest) of the content."""
        known = (("sha256", self.sha256), ("md5", self.md5))
        return next(((kind, value) for kind, value in known if value is not None), None)


@dataclass(frozen=True)
class Source:
    """One data set. Each of `variants` is a set of file names that holds the whole data set in another form."""

    name: str
    summary: str
    licence: str
    model: str  # default model
    reader: str  # module with load(source, folder) -> Data
    files: tuple[File, ...] = ()
    variants: tuple[tuple[str, ...], ...] = ()
    pickles: tuple[str, ...] = ()  # files that are refused: reading a pickle runs code from the file
    folders: tuple[str, ...] = ()  # further accepted names of the folder
    packaged: bool = False  # the files are part of the installed package


def _idx(base_urls: tuple[str, ...], md5: dict[str, str]) -> tuple[File, ...]:
    sizes = {
        "train-images-idx3": 47_040_016,
        "train-labels-idx1": 60_008,
        "t10k-images-idx3": 7_840_016,
        "t10k-labels-idx1": 10_008,
    }
    files = []
    for stem, size in sizes.items():
        name = f"{stem}-ubyte.gz"
        urls = tuple(f"{base}/{name}" for base in base_urls)
        files.append(File(name, urls, size, md5[stem], limit_bytes=size + 65_536, gzipped=True))
    return tuple(files)


_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary"

_A9A = {
    "a9a": "7ba53cccb27e2e525f0fb173e1f446d49856e3fb007eb43be4ec6d0f5b3335ca",
    "a9a.t": "1f448a153f0320399a7e40836eb207655b0bde0f21fc941cc472193daa9f5de9",
}
"""LIBSVM publishes no digest. These were computed from a copy in another project's repository, whose rows and classes
are as many as LIBSVM states; a9a.t was the same in a second repository. They say that a copy is that one, no more.
"""

_MOVIELENS = "https://files.grouplens.org/datasets/movielens"
_MOVIELENS_LICENCE = "free for research, no redistribution (GroupLens; Harper and Konstan 2015)"
_ML_100K = File("ml-100k.zip", (f"{_MOVIELENS}/ml-100k.zip",), None, "0e33842e24a9c977be4e0107933c0723", 8_000_000)
_ML_1M = File("ml-1m.zip", (f"{_MOVIELENS}/ml-1m.zip",), None, "c4d9eecfca2ab87c1945afe126590906", 8_000_000)
"""The digests are those that GroupLens publishes beside the archives."""

CIFAR10_IMAGE_ARCHIVES = ("cifar10_jpeg.tar.xz", "cifar10_jpeg.tar", "cifar10_images.tar.xz", "cifar10_images.tar")

_ALL = (
    Source(
        name="digits",
        summary="1,797 hand-written digits 8x8 (1,437 + 360), 10 classes; in the package, no download",
        licence="CC BY 4.0 (UCI, E. Alpaydin and C. Kaynak 1998)",
        model="mlp",
        reader="hogwild.tasks.datasets.digits",
        files=(File("digits.npz", (), 46_756, "aa8e85fe6a44b697d6607748971ac937", 65_536),),
        packaged=True,
    ),
    Source(
        name="fashion_mnist",
        summary="70,000 articles of clothing 28x28 (60,000 + 10,000), 10 classes; 31 MB",
        licence="MIT (Zalando SE 2017)",
        model="lenet",
        reader="hogwild.tasks.datasets.mnist",
        files=_idx(
            ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",),
            {
                "train-images-idx3": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "train-labels-idx1": "9018921c3c673c538a1fc5bad174d6f9",
                "t10k-images-idx3": "8181f5470baa50b63fa0f6fddb340f0a",
                "t10k-labels-idx1": "15d484375f8d13e6eb1aabb0c3f46965",
            },
        ),
    ),
    Source(
        name="mnist",
        summary="70,000 hand-written digits 28x28 (60,000 + 10,000), 10 classes; 12 MB",
        licence="CC BY-SA 3.0 (Y. LeCun and C. Cortes)",
        model="lenet",
        reader="hogwild.tasks.datasets.mnist",
        files=_idx(
            ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"),
            {
                "train-images-idx3": "6bbc9ace898e44ae57da46a324031adb",
                "train-labels-idx1": "a25bea736e30d166cdddb491f175f624",
                "t10k-images-idx3": "2646ac647ad5339dbf082846283269ea",
                "t10k-labels-idx1": "27ae3e4e09519cfbb04c329615203637",
            },
        ),
    ),
    Source(
        name="cifar10",
        summary="60,000 colour photographs 32x32 (50,000 + 10,000), 10 classes; 170 MB, or an image folder or tar",
        licence="none stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        model="resnet20",
        reader="hogwild.tasks.datasets.cifar10",
        files=(
            File(
                "cifar-10-binary.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                170_052_171,
                "c32a1d4ab5d03f1284b67883e8d87530",
                170_052_171,
            ),
        ),
        variants=(
            ("cifar-10-batches-bin",),
            ("data_batch_1.bin", "test_batch.bin"),
            ("train", "test"),
            *((name,) for name in CIFAR10_IMAGE_ARCHIVES),
        ),
        pickles=("cifar-10-python.tar.gz", "cifar-10-batches-py"),
        folders=("cifar10_jpeg",),
    ),
    Source(
        name="a9a",
        summary="48,842 rows of the UCI Adult census (32,561 + 16,281), 123 binary features, 2 classes; 3.5 MB, sparse",
        licence="CC BY 4.0 (UCI Adult, B. Becker and R. Kohavi 1996); binarised by the LIBSVM project",
        model="logistic",
        reader="hogwild.tasks.datasets.a9a",
        files=(
            File("a9a", (f"{_LIBSVM}/a9a",), 2_327_314, None, 4_000_000, sha256=_A9A["a9a"]),
            File("a9a.t", (f"{_LIBSVM}/a9a.t",), 1_164_628, None, 2_000_000, sha256=_A9A["a9a.t"]),
        ),
    ),
    Source(
        name="tinyshakespeare",
        summary="1,115,394 characters of Shakespeare (90 % + 10 %), 65 symbols; 1.1 MB, character model",
        licence="public domain",
        model="charlm",
        reader="hogwild.tasks.datasets.tinyshakespeare",
        files=(
            File(
                "input.txt",
                ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
                1_115_394,
                "6fb458f1232090904fb40fe944165e91",
                1_115_394,
            ),
        ),
    ),
    Source(
        name="movielens_100k",
        summary="100,000 ratings of 1,682 films by 943 users (90 % + 10 %), 1 to 5 stars; 5 MB, RMSE",
        licence=_MOVIELENS_LICENCE,
        model="mf",
        reader="hogwild.tasks.datasets.movielens",
        files=(_ML_100K,),
        variants=(("u.data",), ("ml-100k",)),
        folders=("ml-100k",),
    ),
    Source(
        name="movielens_100k_bpr",
        summary="the pairs of movielens_100k without their stars: rated films rank above others (BPR); 5 MB",
        licence=_MOVIELENS_LICENCE,
        model="mf",
        reader="hogwild.tasks.datasets.movielens",
        files=(_ML_100K,),
        variants=(("u.data",), ("ml-100k",)),
        folders=("movielens_100k", "ml-100k"),
    ),
    Source(
        name="movielens_1m",
        summary="1,000,209 ratings of 3,706 films by 6,040 users (90 % + 10 %), 1 to 5 stars; 6 MB, RMSE",
        licence=_MOVIELENS_LICENCE,
        model="mf",
        reader="hogwild.tasks.datasets.movielens",
        files=(_ML_1M,),
        variants=(("ratings.dat",), ("ml-1m",)),
        folders=("ml-1m",),
    ),
    Source(
        name="text8",
        summary="17 million words of Wikipedia (99 % + 1 %) for skip-gram vectors, rare words left out; 31 MB",
        licence="CC BY-SA 3.0 (Wikipedia; M. Mahoney 2006)",
        model="skipgram",
        reader="hogwild.tasks.datasets.text8",
        files=(File("text8.zip", ("https://mattmahoney.net/dc/text8.zip",), None, None, 40_000_000),),
        variants=(("text8",),),
    ),
    Source(
        name="zipf_ratings",
        summary="synthetic: 1,000,000 ratings (90 % + 10 %), 20,000 users x 20,000 items drawn by Zipf's law; computed",
        licence="none: computed",
        model="mf",
        reader="hogwild.tasks.datasets.zipf",
        packaged=True,
    ),
    Source(
        name="zipf_text",
        summary="synthetic: 1,000,000 words (99 % + 1 %), 20,000 different ones drawn by Zipf's law; computed",
        licence="none: computed",
        model="skipgram",
        reader="hogwild.tasks.datasets.zipf",
        packaged=True,
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in _ALL}
DATASETS: dict[str, str] = {source.name: source.summary for source in _ALL}


def find(name: str) -> Source:
    """The source called `name`. Raises UsageError with the nearest known name."""
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES, "your own: --data module:function")
    return SOURCES[name]
