"""`--contaminate`: a wrong share or set gets one sentence and exit code 2, before anything is trained."""

import pytest

LABELS = ("--contaminate-labels", "some")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.2:uniform", "the share of other images must be above 0 and below 1, such as 0.1"),
        ("0.1:nowhere", "no test images of nowhere: looked for "),
        ("0.1:uniform", "--contaminate-labels must be one of random, none, got 'some'"),
        ("uniform", "--contaminate must be SHARE:SET, such as 0.1:omniglot, got 'uniform'"),
    ],
)
def test_a_wrong_contamination_is_told(oodbench, tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    done = oodbench(
        "run", "--in", "digits", "--method", "msp", "--contaminate", text, *(LABELS if "labels" in message else ())
    )
    assert done.code == 2
    assert done.err.startswith(f"Error: {message}")
    assert "Traceback" not in done.err


def test_a_plan_names_the_contaminated_benchmark(oodbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = oodbench("run", "--in", "digits", "--method", "msp", "--contaminate", "0.1:uniform", "--dry-run")
    assert done.code == 0
    assert "digits-with-0.1-uniform msp seed 0" in " ".join(done.out.split())
