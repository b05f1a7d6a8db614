"""A pretraining run: from a config to checkpoints."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.tokens import Doc
from spacy.util import dot_to_object, registry
from thinc.api import Config

from ...batching.device import prefetch
from ...errors import LukeError, warn
from ...files import write_file
from ...models.adamw import ThincAdamW
from ...progress import track
from .batches import MaskedWindows, dropout_seed
from .log import append_to_log, resume_log, start_log
from .ranks import ONE_PROCESS, Ranks
from .scores import Scores, Tally, batch_loss
from .settings import MAY_CHANGE, Settings
from .start import frequent_titles, open_source, start_model, write_titles
from .state import Progress, has_run, load_adamw, load_weights, read_progress, save_state
from .store import WindowStore

CONFIG, DATA, FACTS = "config.cfg", "data", "pretraining.json"
BEST, LAST = "model-best", "model-last"


@dataclass(frozen=True)
class Report:
    """Progress of a run since the last report.

    epoch: how often the windows were seen, on average.
    learn_rate: of the last step.
    dev: scores on the dev corpus; None without one.
    best: whether these are the best so far.
    words_per_second: of training.
    """

    stage: str
    step: int
    epoch: float
    words: int
    learn_rate: float
    train: Scores
    dev: Scores | None
    best: bool
    words_per_second: float


class Run:
    """A run in an output folder. It can be stopped in any way, and goes on from its last report with the same weights.

    config: interpolated; see `configs/pretrain.cfg`.
    output: folder for the checkpoints, the windows and the state of the run.
    resume: go on with the run in the folder.
    gpu_id: number of the GPU, -1 for the CPU. L047 if PyTorch has no such GPU.
    ranks: processes that train together, each with a run of its own in the same folder, which rank 0 writes. L192 if
        there are more than batches of a step. A run may go on with another number of them.
    """

    def __init__(
        self, config: Config, output: Path, *, resume: bool = False, gpu_id: int = -1, ranks: Ranks = ONE_PROCESS
    ):
        if not config.get("pretraining"):
            raise LukeError("L097", section="pretraining", problem="it is missing", known="see configs/pretrain.cfg")
        self.settings = Settings.from_config(registry.resolve(config["pretraining"]))
        self.output = output
        if self.settings.accumulate_gradient < ranks.world_size:
            raise LukeError("L192", value=self.settings.accumulate_gradient, world_size=ranks.world_size)
        self._ranks = ranks
        self.device = ranks.connect(gpu_id)
        self.progress = read_progress(output) if resume else Progress()
        if resume:
            _check_same(config, output)
        elif has_run(output):
            raise LukeError("L101", path=output, step=read_progress(output).steps)
        source = open_source(self.settings.model, self.settings.seed)
        from_scratch = self.settings.model.tokenizer and not self.settings.model.checkpoint
        self.source = "random weights" if from_scratch else source.path
        longest = min(self.settings.windows.max_pieces, source.config.max_pieces - 2)
        names = {"train": self.settings.train_corpus, "dev": self.settings.dev_corpus}
        readers = {kind: _reader(config, name) for kind, name in names.items() if name}
        with ranks.rank_0_first():
            stores = {
                kind: _windows(read, config, output / DATA / kind, source.tokenizer, longest, ranks.rank, reuse=resume)
                for kind, read in readers.items()
            }
            titles = frequent_titles(stores["train"], self.settings.entity_vocab)
            if not ranks.rank:
                write_titles(titles, output)
        self.model = start_model(source, titles, self.settings, output)
        self.train = self._masked(stores["train"], source.tokenizer)
        self._check_train(stores["train"])
        self.dev = self._masked(stores["dev"], source.tokenizer) if "dev" in stores else None
        if self.dev is not None:
            self._check("dev_corpus", self.dev)
            if not self.dev.known_entities:
                warn("W028", corpus="dev_corpus")
        if resume:
            load_weights(output, self.model.module)
        if not ranks.rank:
            if resume:
                resume_log(output, self.progress.steps)
            else:
                start_log(output)
                write_file(output / CONFIG, config.to_str())
        self.model.module.to(self.device)
        ranks.broadcast(self.model.module)

    def summary(self) -> str:
        """Describe model and corpus in a sentence or two."""
        store, train = self.train.store, self.train
        parameters = sum(p.numel() for p in self.model.module.parameters())
        done = f", {self.progress.steps} done" if self.progress.steps else ""
        others = f", by {self._ranks.world_size} processes" if self._ranks.world_size > 1 else ""
        return (
            f"From {self.source}, with full attention of entities. "
            f"{store.docs} Docs, {store.words} words, {len(store.entity_titles)} linked entities of "
            f"{len(store.titles)} titles: {len(train.windows)} windows with {train.known_entities} known entities. "
            f"{len(self.model.entity_vocab.title_of)} titles in the entity vocabulary, {parameters / 1e6:.1f} M "
            f"parameters, {self.settings.steps} steps{done}, on {self.device}{others}."
        )

    def _masked(self, store: WindowStore, tokenizer: Any) -> MaskedWindows:
        settings = self.settings
        unknown = settings.entity_vocab.unknown
        vocab = self.model.entity_vocab
        return MaskedWindows(
            store,
            tokenizer,
            vocab,
            settings.windows,
            masking=settings.masking,
            unknown=unknown,
            ranks=self._ranks,
        )

    def _check_train(self, store: WindowStore) -> None:
        if store.titles and not self.train.known_entities and not self.settings.windows.without_entities:
            top = int(store.counts.argmax())
            raise LukeError(
                "L100",
                titles=len(store.titles),
                min_count=self.settings.entity_vocab.min_count,
                first=store.titles[top],
                count=int(store.counts[top]),
            )
        self._check("train_corpus", self.train)

    def _check(self, name: str, corpus: MaskedWindows) -> None:
        """Check that there is something to predict."""
        store = corpus.store
        if not store.titles and not self.settings.windows.without_entities:
            raise LukeError("L099", corpus=name, docs=store.docs)
        if not store.words:
            raise LukeError("L105", corpus=name, reason=f"there is no word in its {store.docs} Docs")
        if not len(corpus.windows):
            raise LukeError("L105", corpus=name, reason=f"none of its {len(store.titles)} titles is in the vocabulary")

    def steps(self) -> Iterator[Report]:
        """Train to the end, with a report, and a save, at each evaluation and at the end."""
        first = 0
        for name, stage in self.settings.stages.items():
            end = min(first + stage.steps, self.settings.steps)
            if self.progress.steps < end:
                adamw = ThincAdamW(self.model.train(stage.trained), stage.optimizer)
                if self.progress.steps > first:
                    load_adamw(self.output, adamw)
                    for _ in range(self.progress.steps - first):
                        stage.optimizer.step_schedules()
                yield from self._stage(name, adamw, end)
            first += stage.steps

    def _stage(self, name: str, adamw: ThincAdamW, end: int) -> Iterator[Report]:
        module, progress = self.model.module, self.progress
        steps, words = progress.steps, progress.words
        tally, started, since = Tally(self.device), time.perf_counter(), words
        batches = prefetch(self.train.steps(self.settings, end - steps, progress.seen), self.device)
        fresh = True
        for part, batch in batches:
            if fresh:
                module.train()
                torch.manual_seed(dropout_seed(self.settings.seed, steps, self._ranks.rank))
            loss = batch_loss(module, part, batch, tally)
            if loss.requires_grad:  # something is predicted
                loss.backward()
            words += part.words
            fresh = part.seen is not None
            if part.seen is None:
                continue
            self._ranks.all_reduce_gradients(adamw.parameters)
            adamw.step()
            adamw.driver.step_schedules()
            steps += 1
            if steps % self.settings.eval_frequency and steps < end:
                continue
            speed = (words - since) / (time.perf_counter() - started)
            self.progress = Progress(steps, part.seen, words, self.progress.best)
            yield self._report(name, adamw, tally.scores(self._ranks), speed)
            tally, started, since = Tally(self.device), time.perf_counter(), words

    def _report(self, stage: str, adamw: ThincAdamW, train: Scores, speed: float) -> Report:
        """Evaluate, and save in rank 0."""
        progress = self.progress
        dev = self.evaluate() if self.dev is not None else None
        for scores in (train, dev):
            if scores is not None and not math.isfinite(scores.loss):
                raise LukeError("L104", loss=scores.loss, step=progress.steps, path=self.output)
        best = dev is not None and (progress.best is None or dev.loss < progress.best)
        if best and dev is not None:
            self.progress = progress = replace(progress, best=dev.loss)
        epoch = progress.seen / len(self.train.windows)
        report = Report(stage, progress.steps, epoch, progress.words, adamw.learn_rate, train, dev, best, speed)
        if self._ranks.rank:
            return report
        facts = {
            "stage": stage,
            "step": report.step,
            "epoch": epoch,
            "words": report.words,
            "train": train.to_dict(),
            "dev": dev.to_dict() if dev else None,
        }
        files = {FACTS: (json.dumps(facts, indent=2) + "\n").encode("utf8")}
        for name in (LAST, BEST) if best else (LAST,):
            self.model.save(self.output / name, files)
        more = {"learn_rate": report.learn_rate, "best": best, "words_per_second": round(speed, 1)}
        append_to_log(self.output, {**facts, **more})
        # Last, for it is what a run goes on from: it takes back a line of the log that comes after it
        save_state(self.output, self.model.module, adamw, progress)
        return report

    def evaluate(self) -> Scores:
        """Scores on the dev corpus, with the same masks each time."""
        assert self.dev is not None
        tally = Tally(self.device)
        self.model.module.eval()
        with torch.no_grad():
            for part, batch in prefetch(self.dev.evaluation(self.settings), self.device):
                batch_loss(self.model.module, part, batch, tally)
        return tally.scores(self._ranks)


def _reader(config: Config, corpus: str) -> Any:
    """The reader of the corpus in a section of the config."""
    try:
        block = dot_to_object(config, corpus)
    except KeyError:
        raise LukeError("L097", section=corpus, problem="it is missing", known="those of the reader") from None
    if block.get("path", "") is None:
        raise LukeError("L097", section=corpus, problem="path is null", known=", ".join(block))
    return registry.resolve({"corpus": block})["corpus"]


def _windows(
    read: Any, config: Config, folder: Path, tokenizer: Any, max_pieces: int, rank: int, *, reuse: bool
) -> WindowStore:
    """The windows of the corpus that a reader reads; L194 if there are none in another process than that of rank 0."""
    if (reuse or rank) and WindowStore.exists(folder):
        return WindowStore(folder)
    if rank:
        raise LukeError("L194", rank=rank, path=folder)
    nlp = spacy.blank(config.get("nlp", {}).get("lang", "xx"))
    docs: Iterator[Doc] = (example.reference for example in read(nlp))
    tracked = track(docs, f"Cutting the {folder.name} corpus into windows", "Docs")
    return WindowStore.write(folder, tracked, tokenizer, max_pieces)


def _check_same(config: Config, output: Path) -> None:
    """L103 if the run was started with other settings than may change."""
    before = _flat(Config().from_disk(output / CONFIG))
    now = _flat(config)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    changed = [name for name in changed if name not in {f"pretraining.{setting}" for setting in MAY_CHANGE}]
    if changed:
        raise LukeError("L103", path=output, changed=", ".join(changed))


def _flat(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in block.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else {f"{prefix}{name}": value}
    return flat
