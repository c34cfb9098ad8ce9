import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from refusals import raises_naming
from test_train import FINAL, TOY, final_bytes, toy_recipe

from mien.dataset import read_dataset, writing_dataset
from mien.distill import distill, distill_views
from mien.errors import DataError, MienError, RecipeError, RunError, Stopped, StorageError
from mien.evaluate import evaluate, load_network
from mien.export import export
from mien.folds import Fold
from mien.info import info
from mien.labels import FERPLUS_VOTES, LABELS
from mien.networks.engine import probabilities
from mien.predictions import read_predictions
from mien.recipe import Augment, Distillation, read_recipe
from mien.run import folder_name, read_run
from mien.train import train
from mien.train.augment import augment
from mien.train.targets import TrainBatches, soft_targets, targets
from mien.train.views import read_views, view_fields, write_views


def distilled_from(*tables):
    """Return a toy recipe with tables of targets."""
    return replace(
        toy_recipe("quick-densenet"), distillation=Distillation(soft_targets=tuple(map(str, tables)))
    )


def soft_table(path, faces, labels=LABELS, *, sure: float = 0.6):
    """Write a table of targets that gives each label `sure` and the next class the rest; return its path."""
    rows = ["id,label,split," + ",".join(labels)]
    for identity, label in zip(faces.ids, faces.labels, strict=True):
        probs = np.zeros(len(labels))
        probs[label], probs[(label + 1) % len(labels)] = sure, 1 - sure
        rows.append(f"{identity},{labels[label]},train," + ",".join(map(str, probs)))
    path.write_text("\n".join(rows) + "\n")
    return path


def test_without_teachers_a_target_is_the_smoothed_label(toy_data):
    """A label smoothed by .1 has .9 + .1 / 7 for itself and .1 / 7 for each other class, as torch does it."""
    recipe = toy_recipe("quick-densenet", "training.label_smoothing=0.1")
    wanted = targets(toy_data.train, recipe, toy_data.info.labels)[0]
    logits = torch.randn(len(wanted), 7, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(toy_data.train.labels)
    by_torch = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)

    assert torch.allclose(by_torch, torch.nn.functional.cross_entropy(logits, wanted))


def test_a_class_weight_multiplies_the_loss_of_its_faces(toy_data):
    """Balanced weights on targets give the loss that weights on labels give."""
    faces = replace(
        toy_data.train, labels=np.arange(len(toy_data.train)) % 7 * (np.arange(len(toy_data.train)) % 2)
    )
    faces = replace(faces, labels=np.r_[np.arange(7), faces.labels[7:]])
    recipe = toy_recipe("study-cnn")
    wanted = targets(faces, recipe, toy_data.info.labels)[0]
    counts = np.bincount(faces.labels, minlength=7)
    weights = torch.from_numpy(len(faces) / (7 * counts)).float()
    logits = torch.randn(len(wanted), 7, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(faces.labels)
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none") * weights[labels]

    assert recipe.training.class_weights == "balanced"
    assert torch.allclose(each.mean(), torch.nn.functional.cross_entropy(logits, wanted))


def test_a_teacher_has_its_share_of_the_target_and_is_softened_by_its_temperature(toy_data, tmp_path):
    """At temperature 2 a share p becomes its root over the sum of roots; label and teacher share out 1."""
    path = soft_table(tmp_path / "t.csv", toy_data.train, sure=0.8)
    recipe = toy_recipe(
        "quick-densenet",
        f"distillation.soft_targets=['{path}']",
        "distillation.weight=0.25",
        "distillation.temperature=2",
        "training.label_smoothing=0",
    )
    wanted = targets(toy_data.train, recipe, toy_data.info.labels)[0].numpy()
    own = np.take_along_axis(wanted, toy_data.train.labels[:, None], 1)[:, 0]
    softened = 0.8**0.5 / (0.8**0.5 + 0.2**0.5)

    assert np.allclose(1, wanted.sum(1))
    assert np.allclose(0.75 + 0.25 * softened, own)


def test_teachers_are_read_by_id_and_class_name_whatever_their_order(toy_data, tmp_path):
    """A table with other orders of rows and classes says the same, and the mean of a table with itself is itself."""
    first = soft_table(tmp_path / "first.csv", toy_data.train)
    lines = first.read_text().splitlines()
    order = [0, 1, 2, *range(9, 2, -1)]
    turned = [",".join(line.split(",")[i] for i in order) for line in lines]
    second = tmp_path / "second.csv"
    second.write_text("\n".join([turned[0], *reversed(turned[1:])]) + "\n")
    tables = (str(first), str(second))
    alone, both = (
        soft_targets(toy_data.train, distilled_from(*t), toy_data.info.labels) for t in (tables[:1], tables)
    )

    assert np.allclose(alone, both)


FAULTY = {
    "missing": (lambda path: path.unlink(), "there is no file"),
    "one face short": (
        lambda path: path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n"),
        "lacks 1 of",
    ),
    "other classes": (
        lambda path: path.write_text(path.read_text().replace("angry", "cross")),
        "has the classes cross",
    ),
    "other labels": (
        lambda path: path.write_text(
            path.read_text().replace(",angry,train", ",sad,train").replace(",fear,train", ",angry,train")
        ),
        "is labelled",
    ),
    "no table": (lambda path: path.write_bytes(b"\x00\x01"), "t.csv"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_teacher_that_does_not_fit_is_refused_before_a_folder_is_made(toy_data, tmp_path, fault):
    """What is wrong with a table of targets is one line, and no run is begun."""
    path = soft_table(tmp_path / "t.csv", toy_data.train)
    break_it, words = FAULTY[fault]
    break_it(path)

    with pytest.raises(MienError, match=words) as told:
        train(
            toy_recipe("quick-densenet", f"distillation.soft_targets=['{path}']"), toy_data, tmp_path / "run"
        )
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_a_run_records_its_teacher_and_refuses_another(toy_data, tmp_path):
    """run.json holds name and sha256 of the table; with another table the run is not taken up, complete it stands."""
    path = soft_table(tmp_path / "t.csv", toy_data.train)
    recipe = toy_recipe("quick-densenet", "training.epochs=2", f"distillation.soft_targets=['{path}']")
    with pytest.raises(Stopped):
        train(recipe, toy_data, tmp_path / "run", stop=lambda: True)
    first = path.read_bytes()
    soft_table(path, toy_data.train, sure=0.9)
    with raises_naming(RunError, "t.csv"):
        train(recipe, toy_data, tmp_path / "run")
    path.write_bytes(first)
    run = train(recipe, toy_data, tmp_path / "run")
    path.unlink()
    again = train(recipe, toy_data, tmp_path / "run")

    assert "t.csv" == read_run(run.folder).teacher[0]["file"]
    assert json.loads((run.folder / "run.json").read_text())["teacher"] == list(again.teacher)


def test_a_run_teaches_another_as_it_reads_train(toy, toy_data, tmp_path):
    """`distill` gives a row a train face, in the data set's order, that a recipe takes as it is."""
    run = train(toy_recipe("quick-densenet", "training.epochs=2"), toy_data, tmp_path / "run")
    out = tmp_path / "targets.csv"
    told = distill(toy, out, teachers=[run.folder, run.folder])
    read = read_predictions(out)

    assert read.ids.tolist() == toy_data.train.ids.tolist() == told.ids.tolist()
    assert np.allclose(told.probs, read.probs)
    assert np.allclose(soft_targets(toy_data.train, distilled_from(out), LABELS)[0], told.probs)


def test_a_run_on_other_data_teaches_nothing(toy_data, tmp_path):
    """A teacher that may have seen other faces is refused."""
    run = train(toy_recipe("quick-densenet", "training.epochs=1"), toy_data, tmp_path / "run")
    other = voted(tmp_path / "other", [(1,) * 10])

    with pytest.raises(RunError):
        distill(other, tmp_path / "t.csv", teachers=[run.folder])
    assert not (tmp_path / "t.csv").exists()


@pytest.fixture(scope="module")
def unseen(toy, tmp_path_factory):
    """The run of each of two folds of train."""
    recipe, folder, data = (
        toy_recipe("quick-densenet", "training.epochs=1"),
        tmp_path_factory.mktemp("f"),
        read_dataset(toy),
    )
    folds = [Fold(number, 2, val_apart=True) for number in (1, 2)]
    return [train(recipe, data.development(fold), folder / folder_name("x", 0, fold)) for fold in folds]


def test_folds_of_train_teach_faces_that_they_have_not_seen(toy, toy_data, unseen, tmp_path):
    """Each train face is told by the network whose fold it is of, beside a teacher that tells them all."""
    folders = [run.folder for run in unseen]
    probs = distill(toy, tmp_path / "t.csv", teachers=folders).probs
    whole = train(toy_recipe("quick-densenet", "training.epochs=1"), toy_data, tmp_path / "run").folder
    beside = distill(toy, tmp_path / "b.csv", teachers=[*folders, whole]).probs

    for run in unseen:
        own = evaluate(run.folder)
        rows = np.isin(toy_data.train.ids, own.ids)
        assert own.ids.tolist() == toy_data.train.ids[rows].tolist()
        assert np.allclose(own.probs, probs[rows])
    assert np.allclose(beside, (probs + distill(toy, tmp_path / "w.csv", teachers=[whole]).probs) / 2)


def test_folds_teach_together_or_not_at_all(toy, unseen, tmp_path):
    """A missing fold, a repeated one and one that has learned from val are refused; nothing is written."""
    lacking = r"lack theirs; give all folds of each seed, once"
    both = Fold(1, 2)
    seen_val = train(unseen[0].recipe, read_dataset(toy).development(both), tmp_path / "both").folder
    for teachers, message in (
        ([unseen[1].folder], lacking),
        ([unseen[0].folder, unseen[1].folder, unseen[0].folder], lacking),
        ([seen_val], "fold 1 of 2 of train and val together.* with --folds 2 --val-apart"),
    ):
        with pytest.raises(RunError, match=message):
            distill(toy, tmp_path / "t.csv", teachers=teachers)
    assert not (tmp_path / "t.csv").exists()


def voted(folder, votes, labels=()):
    """Write a data set of a train face a row of votes, labelled happy, and a val face; return its folder."""
    labels = iter(labels)
    extra = tuple(f"vote_{name}" for name in FERPLUS_VOTES)
    with writing_dataset(folder, side=8, labels=LABELS, extra=extra) as writer:
        for number, (split, row) in enumerate([*(("train", row) for row in votes), ("val", votes[0])]):
            pixels = np.full((8, 8), number, np.uint8)
            writer.add(
                pixels,
                label=next(labels, "happy"),
                split=split,
                source=str(number),
                extra=tuple(map(str, row)),
            )
        writer.finish({"kind": "test"})
    return folder


def test_voters_teach_what_they_said_of_the_seven_classes(tmp_path):
    """Contempt, unknown and not-a-face drop out; a face without any other vote keeps its label."""
    votes = [dict.fromkeys(FERPLUS_VOTES, 0) for _ in range(3)]
    votes[0] |= {"anger": 6, "neutral": 2, "contempt": 2}
    votes[1] |= {"unknown": 7, "NF": 3}
    votes[2] |= {"happiness": 10}
    folder = voted(tmp_path / "voted", [tuple(row.values()) for row in votes])
    told = distill(folder, tmp_path / "t.csv")
    wanted = np.zeros((3, 7))
    wanted[0, LABELS.index("angry")], wanted[0, LABELS.index("neutral")] = 0.75, 0.25
    wanted[1:, LABELS.index("happy")] = 1

    assert np.allclose(wanted, told.probs)


def test_translated_votes_tell_how_faces_with_such_votes_are_labelled(tmp_path):
    """Of 40 faces that all voters call neutral 10 are labelled sad: such a face is taught sad by a quarter."""
    neutral, happy = ([0] * 10 for _ in range(2))
    neutral[FERPLUS_VOTES.index("neutral")], happy[FERPLUS_VOTES.index("happiness")] = 10, 8
    labels = ["sad"] * 10 + ["neutral"] * 30 + ["happy"] * 20
    folder = voted(tmp_path / "voted", [neutral] * 40 + [happy] * 20, labels)
    told = distill(folder, tmp_path / "t.csv", translate=True).probs

    assert np.allclose(1, told.sum(1))
    assert np.allclose([0.25, 0.75], told[:40][:, [LABELS.index("sad"), LABELS.index("neutral")]], atol=0.01)
    assert np.all(told[40:, LABELS.index("happy")] > 0.99)


def test_a_model_file_teaches_as_the_run_that_it_was_exported_from(toy, toy_data, tmp_path):
    """A run and its file say the same of train but for calibration; of other data the file is refused, too."""
    run = train(toy_recipe("quick-densenet", "training.epochs=1"), toy_data, tmp_path / "run")
    model = tmp_path / "m.onnx"
    export([run.folder], model, licence="MIT")
    told = distill(toy, tmp_path / "t.csv", teachers=[model])
    by_run = distill(toy, tmp_path / "r.csv", teachers=[run.folder])

    assert np.array_equal(told.probs.argmax(1), by_run.probs.argmax(1))
    assert told.ids.tolist() == by_run.ids.tolist()
    with pytest.raises(RunError):
        distill(voted(tmp_path / "other", [(1,) * 10]), tmp_path / "o.csv", teachers=[model])


def test_teachers_need_no_translation(toy, tmp_path):
    """Runs answer in the data set's labels, so translating them is a mistake that is told."""
    with pytest.raises(DataError):
        distill(toy, tmp_path / "t.csv", teachers=["pocket"], translate=True)


def test_without_votes_voters_cannot_teach(toy, tmp_path):
    """A data set without votes is told how to come by some."""
    with raises_naming(DataError, "--votes"):
        distill(toy, tmp_path / "t.csv")


def test_a_place_that_is_none_is_told_before_the_work(toy, tmp_path):
    """A table that could not be written is refused before any teacher is asked."""
    with raises_naming(StorageError, "gone"):
        distill(toy, tmp_path / "gone" / "t.csv", teachers=["no run"])
    with pytest.raises(StorageError):
        distill(toy, tmp_path, teachers=["no run"])


def test_a_distilled_run_ends_in_the_same_bytes_stopped_or_not(toy_data, tmp_path):
    """Targets are made anew at each start, so a stopped run goes on with the same."""
    path = soft_table(tmp_path / "t.csv", toy_data.train)
    recipe = read_recipe(
        "quick-densenet",
        (*TOY, "training.epochs=2", f"distillation.soft_targets=['{path}']", "optimizer.ema_decay=0.8"),
    )
    train(recipe, toy_data, tmp_path / "whole")
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(Stopped):
        train(recipe, toy_data, tmp_path / "stopped", stop=stop)
    train(recipe, toy_data, tmp_path / "stopped")

    assert len(FINAL) == len(final_bytes(tmp_path / "whole"))
    assert final_bytes(tmp_path / "whole") == final_bytes(tmp_path / "stopped")


def test_a_contradicting_recipe_with_the_means_is_refused():
    """Progressive resizing needs a network that takes any side, stochastic depth one that bypasses layers."""
    with raises_naming(RecipeError, "progressive_resizing"):
        read_recipe("quick-cnn", ("training.progressive_resizing=32",))
    with raises_naming(RecipeError, "drop_path"):
        read_recipe(
            "quick-densenet", ("network.connection=none", "network.growth_rate=48", "network.drop_path=0.1")
        )


def answered_views(toy, toy_data, folder, *, views: int = 3, student: str = "pocket") -> tuple:
    """Return a toy teacher's run and its file of answers to views, as a recipe's [augment] draws them."""
    run = train(toy_recipe("quick-densenet", "training.epochs=1"), toy_data, folder / "run")
    out = folder / "views.safetensors"
    distill_views(toy, out, teachers=[run.folder], student=read_recipe(student), views=views)
    return run, out


def test_teachers_answer_the_very_pictures_that_a_student_sees(toy, toy_data, tmp_path):
    """In epoch e a student's batch holds view e modulo their number, and its target is the teacher's answer to it."""
    run, out = answered_views(toy, toy_data, tmp_path)
    recipe = replace(distilled_from(out), augment=read_recipe("pocket").augment)
    recipe = replace(recipe, distillation=replace(recipe.distillation, weight=1.0))
    recipe = replace(recipe, training=replace(recipe.training, label_smoothing=0.0))
    network, engine = load_network(run, run.result()["weights_sha256"], "cpu")
    batches = TrainBatches(toy_data.train, recipe, LABELS, "cpu")
    rows = torch.arange(len(toy_data.train))
    seen = []
    for epoch in (0, 1, 3):
        batches.begin_epoch(epoch)
        faces, wanted, _ = batches.batch(rows, generator=torch.Generator())
        seen.append(faces)

        assert np.allclose(probabilities(network, faces, engine), wanted, atol=2e-3)

    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], torch.from_numpy(toy_data.train.images))


def test_views_that_were_interrupted_go_on_to_the_same_answers(toy, toy_data, tmp_path):
    """A file with some of its views refuses to train, is completed by the same call, and may get more later."""
    run, out = answered_views(toy, toy_data, tmp_path)
    whole = read_views(out)
    write_views(out, replace(whole, probs=whole.probs[:1]))
    with pytest.raises(RecipeError):
        targets(toy_data.train, replace(distilled_from(out), augment=read_recipe("pocket").augment), LABELS)
    rules = {"teachers": [run.folder], "student": read_recipe("pocket")}
    again = distill_views(toy, out, views=3, **rules)
    more = distill_views(toy, out, views=4, **rules)

    assert np.array_equal(whole.probs, again.probs)
    assert 4 == len(more.probs) == len(read_views(out).probs)
    assert np.array_equal(whole.probs, more.probs[:3])


def test_views_of_an_earlier_version_go_on(toy, toy_data, tmp_path):
    """A file that kept fields that change no view is completed and trained with as any other."""
    run, out = answered_views(toy, toy_data, tmp_path)
    whole = read_views(out)
    write_views(out, replace(whole, probs=whole.probs[:1], augment={**whole.augment, "motion": 3.0}))
    again = distill_views(toy, out, views=3, teachers=[run.folder], student=read_recipe("pocket"))

    assert np.array_equal(whole.probs, again.probs)
    assert whole.augment == again.augment


def test_info_tells_how_many_views_are_answered(toy, toy_data, tmp_path):
    """It tells of a file of views; of a run's weights it names the run."""
    teacher = train(toy_recipe("quick-densenet", "training.epochs=1"), toy_data, tmp_path / "run")
    student = toy_recipe("quick-densenet")
    distill_views(toy, tmp_path / "views.safetensors", teachers=[teacher.folder], student=student, views=2)

    assert "2 of 2 views" in info(tmp_path / "views.safetensors")
    with raises_naming(DataError, str(teacher.folder)):
        info(teacher.folder / "weights.safetensors")


def test_a_view_depends_on_the_fields_that_augment_reads():
    """No field that changes views is left out of what a file of views is checked by, and no other is in it."""
    read = set()

    class Reading:
        def __getattr__(self, name):
            read.add(name)
            return getattr(Augment(), name)

    augment(torch.zeros(2, 8, 8, dtype=torch.uint8), Reading(), generator=torch.Generator())

    assert set(view_fields(Augment())) == read


def test_views_of_other_augmentations_or_faces_are_refused(toy, toy_data, tmp_path):
    """A student trains on views that its own recipe draws of its own faces, and on no others."""
    run, out = answered_views(toy, toy_data, tmp_path, views=1)
    own = replace(distilled_from(out), augment=read_recipe("pocket").augment)
    other = replace(own, augment=replace(own.augment, rotation=7.0))
    images = toy_data.train.images.copy()
    images[0, 0, 0] ^= 1
    changed = replace(toy_data.train, images=images)

    assert (1, len(images), 7) == targets(toy_data.train, own, LABELS).shape
    with raises_naming(RecipeError, "rotation"):
        targets(toy_data.train, other, LABELS)
    with pytest.raises(RecipeError):
        targets(changed, own, LABELS)
    with pytest.raises(RecipeError):
        distill_views(
            toy, out, teachers=[run.folder], student=read_recipe("ferplus", ("augment.shift=1",)), views=1
        )


def test_a_student_of_views_is_the_same_however_often_it_was_stopped(toy, toy_data, tmp_path):
    """A run that learns from views ends with the same bytes whether or not it was stopped within an epoch."""
    _, out = answered_views(toy, toy_data, tmp_path, views=2)
    augment = read_recipe("pocket").augment
    recipe = replace(distilled_from(out), augment=augment)
    recipe = replace(recipe, training=replace(recipe.training, epochs=3))
    straight = train(recipe, toy_data, tmp_path / "straight")
    asked = iter(range(10_000))
    with pytest.raises(Stopped):
        train(recipe, toy_data, tmp_path / "stopped", stop=lambda: next(asked) == 4)
    stopped = train(recipe, toy_data, tmp_path / "stopped")

    assert final_bytes(straight.folder) == final_bytes(stopped.folder)
