"""How much data is enough: the curve, its extrapolation, and the parts of a file."""

from pathlib import Path

import pytest

from ahx.data.files.shares import write_shares
from ahx.errors import InputError
from ahx.study.lines import Curve, power_law
from ahx.study.trial import Attempt, Result


def test_a_power_law_is_found_and_checked_on_the_point_that_it_did_not_see() -> None:
    lines = {f"1of{part}": 16_000 // part for part in (16, 8, 4, 2, 1)}
    attempts = [
        Attempt({"infile": name}, (0, 1), tuple(Result(False, 1 - 2 * n**-0.5) for _ in range(2)))
        for name, n in lines.items()
    ]
    check = Curve(lines, 10**9, attempts).check()
    assert check is not None
    assert check.without.exponent == pytest.approx(0.5, rel=1e-3)
    assert check.predicted == pytest.approx(check.error, rel=1e-3)
    assert check.fit.lines(0.01) == pytest.approx(40_000, rel=1e-2)


def test_points_without_an_error_are_not_fitted() -> None:
    flat = [("a", 100), ("b", 200), ("c", 400), ("d", 800)]
    curve = Curve(dict(flat), 1000, [Attempt({"infile": n}, (0,), (Result(True, 1.0),)) for n, _ in flat])
    assert curve.check() is None


def test_power_law_of_two_points() -> None:
    assert power_law([(10, 0.1), (1000, 0.001)]).error(100) == pytest.approx(0.01)


def test_each_part_of_a_file_holds_the_smaller_ones(tmp_path: Path) -> None:
    whole = [f"{n:b},{n:b}\n" for n in range(4000)]
    (tmp_path / "d_train.txt").write_text("# numbers\n" + "".join(whole), "utf-8")
    (tmp_path / "d_val.txt").write_text("0,0\n\n1,1\n", "utf-8")
    lines, validation = write_shares(str(tmp_path / "d"), tmp_path / "parts", (4, 2, 1))
    parts = [(tmp_path / "parts" / f"1of{n}_train.txt").read_text("utf-8").splitlines(True) for n in (4, 2, 1)]
    assert list(lines.values()) == [len(part) for part in parts]
    assert parts[2] == whole
    assert set(parts[0]) < set(parts[1]) < set(parts[2])
    assert 800 < len(parts[0]) < 1200
    assert validation == 2


def test_too_few_lines_and_no_validation_file(tmp_path: Path) -> None:
    (tmp_path / "d_train.txt").write_text("A,A\n", "utf-8")
    with pytest.raises(InputError, match=r"has no file that ends in _val\.txt"):
        write_shares(str(tmp_path / "d"), tmp_path, (2, 1))
    (tmp_path / "d_val.txt").write_text("B,B\n", "utf-8")
    with pytest.raises(InputError, match="too few lines"):
        write_shares(str(tmp_path / "d"), tmp_path, (16, 1))
