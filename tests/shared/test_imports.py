import subprocess
import sys

CODE = """
import sys
import shared.checks, shared.data, shared.evaluation, shared.models, shared.operators, shared.plots
import shared.probes, shared.profiling, shared.records, shared.registry, shared.seeding
import shared.tracing, shared.training
heavy = {"matplotlib", "sklearn", "torchvision", "rich", "onnx", "PIL", "scipy"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
"""


def test_imports_are_silent_light_and_need_no_data():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": ""},
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
