"""Imports go downwards only: who may use whom, read off the syntax trees."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A module imports only from modules listed before its own line.
FLOORS = """
src.errors  src.tensors
src.files
src.quiet  src.signals  src.quoting
src.figures.*
src.config.*  src.runs
src.cluster
src.results  src.epochs  src.overrides
src.manual  src.comparison
src.tables  src.children
src.launchers
src.multirun
src.data.examples
src.machine  src.resume  src.data.dataset  src.data.options  src.data.metadata
src.data.python_calls  src.data.splits  src.data.augment  src.data.reading
src.data.tfds_info  src.data.tfrecords  src.data.images  src.data.noise
src.data.idx  src.data.streamed  src.data.decode
src.data.prepared  src.data.store
src.data.pictures
src.data.labelled  src.data.records
src.data.download
src.data.locate
src.data.sources.*  src.data.pipeline
src.arithmetic.sizes  src.arithmetic.reference  src.layers.bitmaps
src.arithmetic.costs  src.arithmetic.receptive_field
src.kernels.adam  src.kernels.indexing  src.layers.initializers  src.layers.arguments
src.kernels.activations  src.kernels.depth_to_space  src.kernels.shards
src.kernels.space_to_depth  src.kernels.strided  src.kernels.windows
src.kernels.lenet5  src.kernels.normalization  src.kernels.pixels  src.kernels.pooling
src.kernels.products
src.kernels.accelerate  src.layers.lenet5  src.layers.pooling  src.layers.upsampling
src.layers  src.layers.adjoints
src.models.weight_files
src.models.vgg16
src.models.backbones  src.models.pretrained
src.models.*
src.models.anatomy  src.models.build  src.models.deconvnet
src.models.layer_table
src.training.metrics  src.training.losses  src.training.optimizers
src.training.plan  src.training.averages  src.training.earlier  src.training.failure
src.training.model  src.training.mirrored
src.training.stored
src.training.baselines  src.training.evaluation
src.training.checkpoint
src.training.tasks  src.training.checkpoints  src.training.strategies
src.training.distributed
src.training.feature_rows
src.training.feature_store
src.training.features
src.training.code_space  src.training.summaries
src.training.output
src.training.history  src.training.curves
src.training.callbacks  src.training.saver  src.training.warm_start
src.training.pruning
src.experiment.*  src.cli
src.prediction  src.activations
src.projection  src.layer_maps
src.explanation  src.study  src.study_pictures
src.evolution  src.preparation
src.train  src.eval  src.describe  src.predict  src.explain  src.compare  src.search
src.__main__
"""
ORDER = {
    name.removesuffix(".*"): floor
    for floor, line in enumerate(FLOORS.split("\n"))
    for name in line.split()
}
# Packages whose own file imports nothing.
PACKAGES = ("src.data", "src.models", "src.training", "src.kernels", "src.arithmetic")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "src").rglob("*.py"))
}


def floor(module):
    listed = module
    while listed and listed not in ORDER:
        listed = listed.rpartition(".")[0]
    assert listed, f"{module} stands on no floor"
    return ORDER[listed]


def imported(path):
    """Names of the project's own modules that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("src"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("src"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


@pytest.mark.parametrize("module", [name for name in MODULES if name.count(".") > 0])
def test_imports_go_downwards(module):
    if module in PACKAGES:
        assert not list(imported(MODULES[module]))
        return
    for other in imported(MODULES[module]):
        same_package = any(
            module.startswith(package) and other.startswith(package)
            for package in ("src.figures", "src.config", "src.data.sources", "src.experiment")
        )
        assert same_package or floor(other) < floor(module), f"{module} imports {other}"


def test_the_kernels_stand_behind_one_door():
    knowing = {
        module
        for module, path in MODULES.items()
        if any(f"{other}.".startswith("src.kernels.") for other in imported(path))
    }
    others = {m for m in knowing if not m.startswith(("src.kernels.", "src.layers"))}
    own = {"src.training.losses", "src.training.metrics"}  # Of the logits, which no network has.
    assert others == {"src.training.model", "src.training.optimizers"} | own


def test_the_oracle_shares_no_code_with_its_subject():
    assert not list(imported(MODULES["src.arithmetic.reference"]))


@pytest.mark.parametrize("module", ["src.config", "src.runs", "src.cli", "src.arithmetic.sizes"])
def test_the_first_answer_needs_neither_tensorflow_nor_keras(module):
    heavy = {"tensorflow", "keras", "tensorflow_datasets", "sklearn", "matplotlib"}
    seen, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        tree = ast.parse(MODULES[current].read_text())
        names = {a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module for n in tree.body if isinstance(n, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in names} & heavy, current
        waiting += [m for m in imported(MODULES[current]) if m in MODULES and m not in seen]
