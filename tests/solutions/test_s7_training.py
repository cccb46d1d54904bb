"""Training of the final project's starter: windows, teacher, stored labels, steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from shared.data import load_digits
from tests.solutions.test_s7_final_project import centred


@pytest.mark.parametrize(("size", "offsets"), [(8, 3), (4, 3), (6, 5), (8, 1), (10, 1)])
def test_a_window_is_what_loops_cut_out(kit: SimpleNamespace, size: int, offsets: int) -> None:
    images = torch.randint(0, 17, (offsets**2, 2, 8, 8), dtype=torch.uint8)
    places = torch.arange(offsets**2)
    found = kit.windows.cut(images, places, size, offsets, fill=8)
    first = (8 - size - offsets + 1) // 2
    for place in places.tolist():
        row, column = first + place // offsets, first + place % offsets
        for y in range(size):
            for x in range(size):
                inside = 0 <= row + y < 8 and 0 <= column + x < 8
                expected = images[place, :, row + y, column + x].tolist() if inside else [8, 8]
                assert found[place, :, y, x].tolist() == expected


def test_windows_of_two_sizes_at_one_place_have_one_center(kit: SimpleNamespace) -> None:
    images = torch.randint(0, 256, (81, 3, 32, 32), dtype=torch.uint8)
    large, small = (
        kit.windows.cut(images, torch.arange(81), size, 9, fill=128) for size in (32, 24)
    )
    assert torch.equal(large[:, :, 4:28, 4:28], small)


def windows(kit: SimpleNamespace, **options: Any) -> Any:
    data = kit.plans.centred(load_digits())
    phase = options.pop("phase", ((2, 4), (2, 8)))
    soft, seed = options.pop("soft", None), options.pop("seed", 0)
    changes = kit.windows.Changes(**({"offsets": 3, "mirror": True} | options))
    return kit.windows.GrowingWindows(data, data.validation, 64, phase, changes, soft, seed=seed)


def test_windows_grow_from_epoch_to_epoch_and_after_a_restart(kit: SimpleNamespace) -> None:
    def sizes(batches: list[tuple[Tensor, Tensor]]) -> set[tuple[int, ...]]:
        return {tuple(images.shape[1:]) for images, _ in batches}

    batches = windows(kit)
    epochs = [list(batches) for _ in range(5)]
    assert [sizes(each) for each in epochs] == [{(1, 4, 4)}] * 2 + [{(1, 8, 8)}] * 3
    again = windows(kit)
    again.epoch = 2
    for (images, labels), (others, theirs) in zip(again, epochs[2], strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, theirs)
    assert not all(torch.equal(a, b) for (a, _), (b, _) in zip(epochs[2], epochs[3], strict=True))


def test_images_are_mirrored_in_turns(kit: SimpleNamespace) -> None:
    batches = windows(kit, phase=((1, 8),), offsets=1)
    batches.seed = None  # in the order of the split
    first, second, third = (torch.cat([images for images, _ in batches]) for _ in range(3))
    assert torch.equal(first, third)
    assert torch.equal(first, second.flip(-1))
    plain = centred(batches.images)
    mirrored = [not torch.equal(a, b) for a, b in zip(first, plain, strict=True)]
    assert 100 < sum(mirrored) < 260


def test_brightness_and_noise_are_as_large_as_asked(kit: SimpleNamespace) -> None:
    plain, relit, noisy = (
        torch.cat([images for images, _ in windows(kit, phase=((1, 8),), **options)])
        for options in ({}, {"brightness": 0.2}, {"noise": 0.05})
    )
    # normalised values are (p - 8) / 4, of full intensity 16
    light, changed = plain * 4 + 8, relit * 4 + 8
    factors = changed.flatten(1).sum(1) / light.flatten(1).sum(1)
    torch.testing.assert_close(changed, light * factors.view(-1, 1, 1, 1), rtol=1e-4, atol=1e-4)
    assert 0.8 <= float(factors.min()) < 0.82
    assert 1.18 < float(factors.max()) <= 1.2
    assert float((noisy - plain).std() * 4 / 16) == pytest.approx(0.05, rel=0.03)
    assert abs(float((noisy - plain).mean() * 4 / 16)) < 0.002


def test_students_see_every_stored_view_with_its_own_answer(
    kit: SimpleNamespace, tmp_path: Path
) -> None:
    """The stored logits are those of a made-up teacher, who names the image and the place."""
    n, views = 360, 4

    def answer(places: Tensor) -> Tensor:
        return torch.stack([torch.arange(n) / 8, places], dim=1)

    soft = kit.soft_labels.store(answer, tmp_path / "labels.pt", views, n, offsets=3)
    assert all(len(set(each)) == views for each in soft.places.T.tolist())
    batches = windows(kit, phase=((1, 8),), soft=soft)
    seen: list[set[tuple[int, bool]]] = [set() for _ in range(n)]
    for _ in range(2 * views):
        for images, logits in batches:
            for image, (name, place) in zip(images, logits.tolist(), strict=True):
                index = round(name * 8)
                whole = batches.images[index : index + 1]
                cut = kit.windows.cut(whole, torch.tensor([int(place)]), 8, 3, 8)
                window = centred(cut)[0]
                mirrored = torch.equal(image, window.flip(-1))
                assert mirrored or torch.equal(image, window)
                seen[index].add((int(place), mirrored))
    complete = sum(len(each) == 2 * views for each in seen)
    assert complete > 0.9 * n  # of an image that is its own mirror image one half is missing


def test_stored_labels_go_on_where_they_stopped(kit: SimpleNamespace, tmp_path: Path) -> None:
    path, asked = tmp_path / "labels.pt", []

    def answer(places: Tensor) -> Tensor:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(places)
        return places.view(-1, 1).float()

    with pytest.raises(KeyboardInterrupt):
        kit.soft_labels.store(answer, path, 5, 20, offsets=3)
    kept = asked.copy()
    asked.clear()
    whole = kit.soft_labels.store(answer, path, 5, 20, offsets=3)
    assert len(asked) == 2
    assert torch.equal(torch.stack(kept + asked).to(torch.uint8), whole.places)
    assert torch.equal(whole.logits[..., 0].to(torch.uint8), whole.places)
    assert torch.equal(kit.soft_labels.load(path).logits, whole.logits)
    asked.clear()
    more = kit.soft_labels.store(answer, path, 7, 20, offsets=3)
    assert len(asked) == 2
    assert torch.equal(more.places[:5], whole.places)
    with pytest.raises(ValueError, match="other images"):
        kit.soft_labels.store(answer, path, 5, 21, offsets=3)
    with pytest.raises(ValueError, match="at most 9 for 3 offsets, got 10"):
        kit.soft_labels.places(10, 20, 3)


def test_whitened_patches_are_not_correlated(kit: SimpleNamespace) -> None:
    torch.manual_seed(0)
    images = torch.nn.functional.avg_pool2d(torch.randn(400, 3, 9, 9), 2, 1)
    teacher = kit.teacher.Teacher((8,))
    teacher.whiten(images)
    out = torch.nn.functional.conv2d(images, teacher.whitening.weight)
    half = out.shape[1] // 2
    torch.testing.assert_close(out[:, :half], -out[:, half:])
    covariance = torch.cov(out[:, :half].transpose(0, 1).flatten(1))
    off = covariance - covariance.diag().diag()
    assert float(off.abs().max()) < 1e-3
    assert float(covariance.diag().min()) > 0.9


def test_a_teachers_norm_has_no_scale_and_a_fast_bias(kit: SimpleNamespace) -> None:
    torch.manual_seed(0)
    norm, plain = kit.teacher.Norm(3), torch.nn.BatchNorm2d(3, affine=False)
    x = torch.randn(6, 3, 4, 4) * 2 + 1
    torch.testing.assert_close(norm(x), plain(x))
    assert [p.requires_grad for p in (norm.weight, norm.bias)] == [False, True]
    before = norm(x).detach()
    norm(x).sum().backward()
    with torch.no_grad():
        norm.bias -= 0.001 * norm.bias.grad  # a step of gradient descent
    rows = 6 * 4 * 4
    expected = before - 0.001 * rows * kit.teacher.BIAS_SPEED**2
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-4)
    for _ in range(300):  # their statistics settle
        norm(x)
        plain(x)
    torch.testing.assert_close(
        norm.eval()(x), plain.eval()(x) + kit.teacher.BIAS_SPEED * norm.bias.view(1, -1, 1, 1)
    )


def test_a_teacher_looks_at_the_mirror_image_too(kit: SimpleNamespace) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 16, 16)
    teacher = kit.teacher.Teacher((8, 8)).eval()
    torch.testing.assert_close(teacher(x), teacher(x.flip(-1)))
    plain = kit.teacher.Teacher((8, 8), mirror=False).eval()
    plain.load_state_dict(teacher.state_dict())
    torch.testing.assert_close(teacher(x), (plain(x) + plain(x.flip(-1))) / 2)
    assert not torch.allclose(plain(x), plain(x.flip(-1)))


@pytest.mark.parametrize("hold_out", [False, True])
def test_held_out_images_are_not_trained_on(kit: SimpleNamespace, hold_out: bool) -> None:
    data, images, held_out = kit.plans.prepare(kit.plans.PLANS["digits"], hold_out)
    kept = len(data.validation.labels)
    assert (held_out is not None) == hold_out
    assert len(images.labels) == len(data.train.labels) + (0 if hold_out else kept)


def test_a_folder_belongs_to_one_run(kit: SimpleNamespace, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    kit.train.claim(folder, "digits, hold out: True")
    kit.train.claim(folder, "digits, hold out: True")
    with pytest.raises(SystemExit, match="holds another run"):
        kit.train.claim(folder, "digits, hold out: False")


def test_another_seed_is_another_order_with_other_windows(kit: SimpleNamespace) -> None:
    first, again, other = (next(iter(windows(kit, seed=seed)))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.slow
def test_every_step_has_an_output_of_its_own_and_is_done_once(
    kit: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = kit.plans.PLANS["digits"]
    short = ((1, 8),)
    teacher = replace(plan.teacher, phase=short, views=2)
    plan = replace(plan, teacher=teacher, float_cycles=(short,), quantised_cycles=(short, short))
    data, images, held_out = kit.plans.prepare(plan, hold_out=True)
    training = kit.train.Training(plan, data, images, held_out, tmp_path)

    def files() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    outputs = ["teacher.pt", "labels.pt", "float-1.pt"]
    outputs += ["quantised-1.pt", "quantised-2.pt", "model.onnx", "engine.onnx"]
    for count in range(1, 3):
        kit.train.run(training, kit.train.STEPS[:count])
        assert set(files()) == set(outputs[:count])
    before = files()

    def refuse(*_: object) -> None:
        raise AssertionError("a student ran the teacher")

    monkeypatch.setattr(kit.teacher.Teacher, "forward", refuse)
    kit.train.run(training, kit.train.STEPS)
    after = files()
    assert set(after) == set(outputs)
    assert {name: after[name] for name in before} == before
    other = tmp_path / "other"
    other.mkdir()
    without = replace(training, out=other, images=kit.plans.both(data), held_out=None)
    kit.train.run(without, kit.train.STEPS, labels=tmp_path / "labels.pt")
    assert {path.name for path in other.iterdir()} == set(outputs[2:])
    # from what the third step wrote, or its network alone, without all that comes before
    monkeypatch.delattr(kit.soft_labels, "load")
    trained = tmp_path / "float-1.pt"
    state = tmp_path / "float.pt"
    torch.save(torch.load(trained, weights_only=True)["model"], state)
    for number, start in enumerate((trained, state)):
        started = tmp_path / str(number)
        started.mkdir()
        network = kit.train.trained(plan, start)
        kit.train.run(replace(training, out=started), kit.train.STEPS, start=network)
        assert {path.name for path in started.iterdir()} == set(outputs[3:])
        assert (started / "model.onnx").read_bytes() == (tmp_path / "0/model.onnx").read_bytes()


def test_what_is_no_network_of_the_plan_cannot_be_started_from(
    kit: SimpleNamespace, tmp_path: Path
) -> None:
    plan = kit.plans.PLANS["digits"]
    texts = {"text.pt": b"no network", "empty.pt": b""}
    for name, content in texts.items():
        (tmp_path / name).write_bytes(content)
    torch.save(kit.plans.build(replace(plan, widths=(4, 8))).state_dict(), tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in (*texts, "missing.pt", "other.pt", "list.pt"):
        with pytest.raises(SystemExit, match=f"^--start: .*{name} holds no network of this .*$"):
            kit.train.trained(plan, tmp_path / name)


def test_what_is_started_from_decides_to_which_run_a_folder_belongs(
    kit: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(kit.train, "run", lambda *_: None)
    plan, out = kit.plans.PLANS["digits"], str(tmp_path / "out")
    starts = []
    for seed in (0, 1):
        starts.append(tmp_path / str(seed) / "float-1.pt")
        starts[-1].parent.mkdir()
        torch.save(kit.plans.build(plan, seed).state_dict(), starts[-1])

    def train(*arguments: object) -> None:
        monkeypatch.setattr("sys.argv", ["train.py", "--out", out, *map(str, arguments)])
        kit.train.main()

    for more in (("--labels", "labels.pt"), ("--until", "float")):
        with pytest.raises(SystemExit, match="2"):
            train("--start", starts[0], *more)
        assert "without --labels or --until" in capsys.readouterr().err
    train("--start", starts[0])
    train("--start", starts[0])
    with pytest.raises(SystemExit, match="holds another run"):
        train("--start", starts[1])
