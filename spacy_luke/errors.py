"""Coded errors and warnings: each carries the offending values and the remedy."""

from __future__ import annotations

import warnings
from typing import Any


class LukeError(ValueError):
    """Every error this package raises on purpose; `code` is stable, e.g. `"L012"`."""

    def __init__(self, code: str, **values: Any):
        self.code = code
        super().__init__(f"[{code}] {ERRORS[code].format(**values)}")

    def __reduce__(self) -> tuple[Any, ...]:
        # The message is already formatted; worker processes send it back as it is.
        return _rebuild_error, (type(self), self.code, str(self))


def _rebuild_error(cls: type[LukeError], code: str, message: str) -> LukeError:
    error = cls.__new__(cls)
    ValueError.__init__(error, message)
    error.code = code
    return error


class LukeWarning(UserWarning):
    """Category of every warning this package gives, so it can be filtered as one."""


def warn(code: str, *, stacklevel: int = 3, **values: Any) -> None:
    """Give the coded warning `code`, filled with `values`."""
    warnings.warn(f"[{code}] {WARNINGS[code].format(**values)}", LukeWarning, stacklevel=stacklevel)


ERRORS: dict[str, str] = {
    # encoders
    "L001": "hidden_act = {name!r} is not a known activation. Known: {known}.",
    "L002": "hidden_size {hidden} is not a multiple of num_attention_heads {heads}. Correct config.json.",
    "L003": "An input of {pieces} pieces does not fit the encoder's {maximum} positions. Use smaller windows "
    "(max_pieces) or an encoder with more positions.",
    "L004": "config.json lacks or has a wrong value for: {problems}.",
    "L005": "precision = {precision!r} is not one of: float32, bfloat16, int8.",
    "L006": "attention_window = {value!r} is not possible. Give an even number above 0, or a list of {layers} of them, "
    "one for each layer.",
    "L007": "entity_attention = {entity_attention!r} is not one of: full, independent, null.",
    "L008": "Device {device} cannot predict with precision = 'int8', which needs an x86 CPU and PyTorch with oneDNN. "
    "Set precision to 'bfloat16' or 'float32'.",
    "L115": "hidden_act = {name!r} is an activation with trained weights in every layer, which the encoders of this "
    "package do not have. Known: {known}.",
    # states of layers
    "L155": "layers = {layers!r} cannot be used. Give a list of numbers from {first} to {last}: 0 is what the "
    "embeddings give, n what layer n gives, and negative numbers count from the last layer.",
    # checkpoints
    "L020": "No checkpoint {name!r}: {reason}. Give the path of a folder with config.json, or the id of a Hub "
    "repository.",
    "L021": "The checkpoint folder {path} has no {file}. Needed: config.json; model.safetensors, "
    "pytorch_model.bin or tf_model.h5; vocab.json and merges.txt, tokenizer.json or sentencepiece.bpe.model; "
    "entity_vocab.json for LUKE, or entity_vocab in tokenizer_config.json.",
    "L022": "{file} cannot be read: {reason}. The file is damaged or not of this format; copy it again.",
    "L023": "Architecture {architecture!r} (model_type {model_type!r}) is not one this package reads. Read: {known}.",
    "L024": "The weights do not fit the model. Missing keys: {missing}. Unknown keys: {unknown}. Check that "
    "config.json and the weights belong together.",
    "L025": "Weights of the wrong size: {problems}. Check that config.json and the weights belong together.",
    "L026": "The entity vocabulary lacks {missing}. A LUKE checkpoint needs [PAD], [UNK], [MASK] and [MASK2].",
    "L027": "{setting} = {value!r} is not the path of a JSON list or text file of entity titles; entity_vocab may also "
    "be 'special' or 'full'.",
    "L028": "Not a tokenizer this package reads: {reason}. Read: byte-level BPE (vocab.json + merges.txt or "
    "tokenizer.json), WordPiece and Unigram (tokenizer.json), and XLM-R's Unigram (sentencepiece.bpe.model).",
    "L029": "Cannot save to {path}: {reason}. What was there before is unchanged.",
    "L030": "The checkpoint's labels {labels} have no known negative label, and {count} labels. Set negative_label to "
    "the label that means 'no entity'.",
    "L031": "Cannot make a {target} checkpoint from model_type {model_type!r}. Possible: {possible}.",
    "L032": "The entity vocabulary gives id {identifier} to {title!r}, but the entity table has only {rows} rows.",
    "L116": "{path} has two entity vocabularies that differ: entity_vocab.json, for {first} rows of the entity table, "
    "and entity_vocab in tokenizer_config.json, for {second}; the table has {rows}. Delete the one that does not "
    "belong to these weights.",
    "L117": "config.json of {path} names no architecture, and its weights {weights} may be those of: {fitting}. Write "
    'the right one into config.json: "architectures": ["..."]; or take the encoder alone: '
    "nlp.add_pipe('luke_encoder').load_checkpoint(...).",
    "L033": "No marker pieces {markers}: the tokenizer has none, and the piece table of {rows} rows has no room for "
    "them after the tokenizer's {pieces} pieces. This checkpoint was not made for marked entities.",
    "L110": "{file}: tensor {name!r} has {count} of {total} numbers that are not finite (first: {first}). The file "
    "is damaged, or the training that wrote it had diverged: copy it again or take an earlier checkpoint. A lower "
    "learning rate, or grad_clip of the optimizer, keeps training from diverging.",
    # components
    "L040": "Component {name!r} has no weights yet. Call nlp.initialize(){how}, or load a saved pipeline.",
    "L041": "Labels {labels} of the training data are not labels of component {name!r}, which has {known}. Initialize "
    "the component with this data, name them under [initialize.components.{name}] labels, or add them to a head that "
    "is there with add_label.",
    "L042": "Component {name!r} takes a {expected} checkpoint, but {path} is a {found}.",
    "L043": "No labels for component {name!r}: neither the data nor the checkpoint has any. Give training examples "
    "with annotation in {where}, or [initialize.components.{name}] labels.",
    "L044": "The negative label {label!r} of component {name!r} is not among its labels {labels}.",
    "L045": "Span ({start}, {end}) is empty, reversed or outside a Doc of {length} tokens. Candidates, entities and "
    "spans under a key need at least one token.",
    "L046": "max_pieces = {max_pieces} must be at least {minimum}, twice the longest mention in pieces, so that each "
    "mention lies in a window.",
    "L047": "{setting} = {value!r} is not valid: {reason}.",
    "L048": "{path} holds no saved component: {reason}.",
    "L049": "No component of this package runs architecture {architecture!r}. Runnable: {known}. Masked language "
    "models fill masks with spacy_luke.fill_mask.FillMask.",
    "L050": "The package {package} with the model that is used where no other is given is not installed. Install it: "
    "pip install {package} (from a copy of the repository: pip install packages/{package}); or give a checkpoint: "
    "load_checkpoint(...) or [initialize.components.X] checkpoint.",
    "L051": "Component {name!r} is configured with the encoder {encoder}, but {path} is a {found} checkpoint. Set "
    "@architectures = {needed!r} in [components.{name}.model.encoder], or give another checkpoint.",
    "L052": "Component {name!r} has the encoder {encoder}, but the bundled model is a LUKE. Give "
    "{where}: a Longformer, or a BERT, RoBERTa or XLM-R, which is read as one.",
    "L053": "{path} is a spaCy pipeline, not a checkpoint. Load it with spacy.load, or give the folder of a component "
    "in it: {components}.",
    "L054": "Component {name!r} is configured with entity_attention = {configured!r}, but the checkpoint {path} was "
    "trained with {found!r}. Set entity_attention = {found!r}, or null, in [components.{name}.model.encoder]; to "
    "train it for {configured!r}, give it as [initialize.components.{name}] checkpoint (spacy train).",
    "L055": "Component {name!r} has a span_filter, which needs a LUKE with independent attention. Set "
    "entity_attention = 'independent' in [components.{name}.model.encoder] and train, or span_filter = null.",
    "L056": "Component {name!r} has no span filter. Set one, [components.{name}.span_filter], and train it.",
    "L057": "None of the Docs has a gold entity that is a candidate of component {name!r}: nothing can be measured.",
    "L159": "Component {name!r} predicts nothing on these Docs that has gold annotation beside it: its scores cannot "
    "be calibrated.",
    "L185": "Component {name!r} is configured with markers = {configured!r}, but the head of the checkpoint was "
    "trained with markers = {saved!r}. Leave the setting out, or train a new head.",
    "L186": "Component {name!r} does without markers, which needs a LUKE with independent attention. Set "
    "entity_attention = 'independent' in the settings of its encoder and train, or markers = true.",
    "L190": "Component {name!r}: {setting} names {unknown}, which it cannot predict. Its labels: {known}. Correct "
    "the setting, or train with these labels.",
    "L191": "No threshold of component {name!r} has a precision of {wanted:.2%} on these Docs; the best has "
    "{best:.2%}. Ask for less, or per_label, which gives each label a threshold, one of 1 where it never gets there.",
    "L058": "The labels {labels} of component {name!r} are no tags of entities: those are O and, for each type, B-TYPE "
    "and I-TYPE, as in BIO, BILUO, BIOES and IO. Set attribute = 'luke_tag' to get them as tags of tokens.",
    "L059": "token.pos_ cannot take the labels {labels} of component {name!r}: they are not parts of speech of "
    "Universal Dependencies. Set attribute = 'tag' or 'luke_tag'.",
    "L111": "Component {name!r}: its {setting}, {function}, raised {error}: it looks up what is not there, such as "
    "a key of doc.spans that an earlier component is to set. Give it what it needs, or set another {setting}.",
    "L095": "{file} is a TensorFlow checkpoint, which needs h5py ({reason}). Install it: "
    "pip install 'spacy-luke[tensorflow_checkpoints]'.",
    "L140": "{file} is not the file that was saved here: {checksums} says {saved}, and there is {found}. Copy or save "
    "the folder again; if the file was changed on purpose, delete {checksums}.",
    # bridge to spacy-transformers
    "L093": "spacy-luke.TransformerModel.v1 needs spacy-transformers, which cannot be imported ({reason}). Install it: "
    "pip install 'spacy-luke[transformers]'.",
    "L094": "The transformer has no weights yet. Call nlp.initialize(), which takes them from {where}, or load a saved "
    "pipeline.",
    # annotations
    "L070": "{attribute} cannot take {value!r}: it must be {wanted}.",
    "L071": "The {role}, {value!r}, cannot be used: {reason}. Give a Span of the same Doc: doc[2:4] for tokens, "
    "doc.char_span(10, 15) for characters.",
    "L072": "The answer text {text!r} is not in the answer's span {span!r}.",
    "L073": "No annotation {name!r}. Known: {known}.",
    "L076": "displacy has no style {style!r}. Known: {known}.",
    "L077": "Style {style!r} cannot show this: {problem}.",
    # texts
    "L120": "The text {text!r} has half a character (at {place} of the whole, a lone surrogate, U+{number:04X}), which "
    "no encoding can write. Read its source with the right encoding, or replace what is broken: "
    "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace').",
    # questions
    "L080": "{argument} = {value!r} cannot be used: it must be {wanted}.",
    # masks
    "L084": "The text {text!r} has no mask to fill. Write {masks} where a piece is to be found.",
    # categories of texts
    "L081": "The gold categories {cats} of the Doc {text!r} cannot be used by component {name!r}: {reason}.",
    "L082": "Component {name!r} cannot use this head: {reason}. It gives one of at least two labels, or a probability "
    "to each label (multi_label = true).",
    # model cards
    "L083": "The evaluation is not what docs/model_cards.md describes: {reason}.",
    "L141": "meta.json of the pipeline lacks or has a wrong value for: {problems}.",
    "L096": "{path} is not the folder of a pipeline: it has no meta.json.",
    # links
    "L085": "Component {name!r} has no entity to link to: the entity vocabulary of {path} has the special ones only. "
    "{remedy}.",
    "L086": "The knowledge base {value!r} of component {name!r} cannot be used: {reason}. Give a folder that luke "
    "build-kb made, or a function from a Vocab to a KnowledgeBase, such as spacy.KBFromFile.v1.",
    "L087": "The knowledge base of component {name!r} is empty.",
    "L088": "No knowledge base can be made from {path}: {reason}.",
    "L089": "titles = {value!r} is not the path of a JSON dictionary from ids of the knowledge base to titles.",
    # pretraining
    "L097": "[{section}] of the config: {problem}. Settings: {known}.",
    "L098": "Cannot pretrain from {path}: {reason}.",
    "L099": "The corpus of [pretraining] {corpus} has no linked entity in its {docs} Docs. Set ent.kb_id_ to the title "
    "of what each entity is, as the converters of linked text do.",
    "L100": "No entity of the training data is in the entity vocabulary: none of {titles} titles occurs {min_count} "
    "times (the most frequent, {first!r}, {count}). Lower min_count in [pretraining.entity_vocab].",
    "L101": "{path} has a run that got to step {step}. Go on with it: --resume; or give another folder.",
    "L102": "{path} has no run to go on with: {reason}. Start one without --resume.",
    "L103": "The run in {path} was started with other settings: {changed}. Go on with {path}/config.cfg, in which only "
    "max_steps and eval_frequency may be changed.",
    "L104": "The loss is {loss} at step {step}: the model is of no use any more. What was saved before, in {path}, is "
    "unchanged. Lower the learning rate or set grad_clip of the optimizer.",
    "L105": "The corpus of [pretraining] {corpus} has nothing to predict: {reason}. Give another one, or set "
    "without_entities = true in [pretraining.windows].",
    "L192": "accumulate_gradient = {value} gives {world_size} processes too few batches: each needs at least one of a "
    "step. Start at most {value} processes, or raise accumulate_gradient in [pretraining].",
    "L193": "Process {rank} of {world_size} has lost another one ({reason}), which has ended: what it says of that, or "
    "torchrun does, is the cause. What was saved is unchanged; go on with --resume.",
    "L194": "Process {rank} finds no windows in {path}, where process 0 has written them. All processes must have the "
    "same output folder: on several machines, one that they share.",
    # converters and command line
    "L060": "{path}, line {line}: {reason}.",
    "L061": "{path} does not exist or has no file to convert.",
    "L062": "Cannot read --types entry {entry!r}: write OLD=NEW, or OLD= to drop the type.",
    "L063": "No converter {kind!r}. Known: {known}.",
    "L064": "{path}, {place}: {reason}.",
    "L065": "{path} has only {what}. Needed beside it: {needed}; or name that file with {option}.",
    "L066": "Component {name!r} uses the encoder of {upstream!r}, and no such luke_encoder is before it in the "
    "pipeline. Add one, and do not exclude it when the pipeline is loaded; it may be disabled.",
    "L067": "Component {name!r} uses the encoder of {upstream!r} and cannot take a checkpoint; give it to that "
    "component.",
    "L068": "Component {name!r}: its head was trained on a {needed} and does not fit the encoder it shares, a {found}.",
    "L160": "The pipeline has no component of spacy-luke to score; it has {components}. Name components with "
    "--component, or use spacy evaluate.",
    "L161": "With gold entities, {components} would have nothing to find. Leave --gold-entities out to score "
    "what finds entities.",
    "L162": "{path} has no Docs: give a .spacy file, or a folder of them.",
    "L163": "{path} has no gold annotation to score against: no {missing}. A DocBin keeps what is in extension "
    "attributes with store_user_data=True.",
    "L164": "{path} has no {what} to give to the components. Without --gold-entities, the pipeline's own are taken.",
    "L106": "{path} is no .spacy file that can be read: {reason}.",
    "L150": "{path}, {place}: {wrong} of {total} entities are not at the tokens that the file says. First: {first}. "
    "{fits} of {total} would be, were the positions {way}. Correct the positions.",
    "L151": "{path}: its first {packed:,} bytes unpack to {size:,}, more than {ratio} times as many. If the file can "
    "be trusted, unpack it and convert what comes out.",
    "L152": "{path}, line {line}: no end of a page for {size:,} bytes; a page has at most {maximum:,}. Give a dump "
    "with the current revisions only, as pages-articles is.",
    "L153": "OUT {path} is {found}. Docs are written to a .spacy file, such as {example}, or to a folder; one whose "
    "name ends like that of a file must be there already.",
    "L175": "No exporter {kind!r}. Known: {known}.",
    "L176": "{what} needs {package}, which cannot be imported ({reason}). Install it: "
    "pip install 'spacy-luke[{extra}]'.",
    "L177": "{path}, {place}: it is not clear {what}; there is {found}. Name it with {option}.",
    "L178": "{path} has no {what} {name!r}, or several. It has: {known}.",
    "L179": "{place} cannot be written: {reason}.",
    "L180": "Cannot read --features entry {entry!r}: write LAYER=FEATURE.",
    "L181": "{path} is no log of a training that can be drawn: {reason}. Logs are the output_file of spaCy's "
    "ConsoleLogger.v3 and log.jsonl of luke pretrain.",
    # large corpora
    "L165": "{path} cannot be annotated: {reason}. Read are files whose names end in {known}, and folders of them.",
    "L166": "The results of {path} cannot be written to {output}: {reason}.",
    "L167": "{path} has no {column!r}, which {option} names. It has: {known}.",
    "L168": "{path} is in use: {holder} is writing to it. Wait for its end, give another folder, or deal the inputs "
    "among all runs in the same way: --shard 1/2 and --shard 2/2.",
    "L169": "{path} has results that were made with other settings: {changed}. Give another folder, or delete this "
    "one.",
    "L170": "The pipeline {model!r} cannot be loaded: {reason}.",
    "L171": "{path} is given up: {deaths} processes died at its rows {rows} (the last one by {cause}). If memory was "
    "short, give fewer --workers; if a text is to blame, it is among these rows.",
    "L172": "Processes died {deaths} times before they had loaded the pipeline {model!r} (the last one by {cause}). "
    "Is there memory for {workers} of them? A Python script that starts them needs: if __name__ == '__main__'.",
    "L173": "Parquet files need pyarrow ({reason}). Install it: pip install 'spacy-luke[parquet]'.",
    "L174": "{path} is no parquet file that can be read: {reason}.",
    "L182": "There is no Ray cluster to run on ({where}): {reason}. Start one (ray start --head), let RAY_ADDRESS name "
    "one that runs, or remove RAY_ADDRESS: then one is started for the run.",
    "L183": "Actors of Ray ended {deaths} times before they had loaded the pipeline {model!r} (the last one: {cause}). "
    "Every machine of the cluster needs this package with the extra 'ray', the pipeline and --code, at the same paths; "
    "or submit the command as a job whose runtime_env installs them.",
    # the server
    "L195": "The server cannot listen on {host}, port {port}: {reason}. Give another --port, or 0 for any that is "
    "free.",
    "L196": "The server is busy: {reason}. Try again in {seconds} s.",
    "L197": "{what} is larger than {most} ({option}). Send less at a time.",
    "L198": "{what} took longer than {seconds:g} s (--timeout).",
    "L199": "Text {number} cannot be annotated: {reason}.",
    "L069": "{path}: component {name!r} was saved with {saved}, but its config has {configured}.",
    "L130": "Component {name!r}: its head was saved with another encoder (fingerprint {saved}) than that of "
    "{upstream!r} ({found}), on which it would predict nonsense. A save over an older pipeline that did not end leaves "
    "such a mixture: save the pipeline again. If the head is meant for this encoder, remove the entry 'encoder' from "
    "the cfg file of the component, and its checksums.json.",
    "L131": "Component {name!r} cannot be given the label {label!r}: {reason}.",
}

WARNINGS: dict[str, str] = {
    "W001": "{factory} was added without a checkpoint and runs the bundled model "
    "(en_luke_mini: English{labels}). For another model: nlp.get_pipe({name!r}).load_checkpoint(...) or "
    "spacy_luke.from_checkpoint(...).",
    "W002": "Component {name!r}: a Doc without sentence boundaries is treated as one sentence. Add 'sentencizer', "
    "'senter' or 'parser' before it; in training, also to annotating_components (nlp.update: annotates).",
    "W003": "Component {name!r}: {missed} of {total} gold spans are no candidates and cannot be learned "
    "({reasons}). First: {examples}.",
    "W004": "{kind} extension {extension!r} belongs to another package ({owner}); this package leaves it alone. "
    "Results stay reachable through {instead}.",
    "W005": "Component {name!r}: {count} candidate spans were left out ({reasons}).",
    "W006": "Component {name!r}: the labels of the data {data} are not those of the checkpoint {checkpoint}; a new "
    "head is trained.",
    "W007": "Optimizer setting {setting} is not supported for LUKE encoders and has no effect.",
    "W008": "The tokenizer of {name!r} lower-cases its text but the checkpoint has no case types; named entities "
    "are recognised better with them (upcycle with case types).",
    "W009": "Component {name!r}: {count} gold {what} have several labels; only the first is learned.",
    "W010": "Style {style!r}: a Doc is not annotated, so nothing is marked in it. Add {component!r} to the pipeline, "
    "or set {attribute}.",
    "W012": "{path}: {lost} of {total} gold mentions start or end inside a token of the predicted Docs and are left "
    "out. First: {examples}. Use the tokenizer that the corpus was made with, or one that splits there.",
    "W013": "{source}: a Doc has {count} candidate pairs; the {taken} pairs of entities that are nearest to each other "
    "are taken ({setting} = {value}). Raise {setting}, or narrow the pairs with max_distance, type_pairs or sentences.",
    "W014": "Component {name!r}: {count} {what} were left out ({reasons}). What is too long or too far apart needs "
    "windows with more max_pieces, and an encoder with as many positions.",
    "W015": "Component {name!r}: {count} questions are longer than {maximum} pieces; only their beginning is read. "
    "First: {first!r}. Raise max_question_pieces, which may be up to half of a window.",
    "W016": "Component {name!r}: {count} questions are empty; they have no answer.",
    "W017": "Component {name!r}: {missed} of {total} gold answers cannot be learned ({reasons}). First: {examples}.",
    "W029": "Component {name!r}: {count} of {total} gold answers are longer than max_answer_pieces ({max_pieces} "
    "pieces), so they are learned but never predicted.",
    "W018": "Component {name!r}: none of {count} Docs has gold annotation, so nothing is learned. Write it to {place} "
    "of the references; a DocBin keeps it with store_user_data=True.",
    "W019": "Component {name!r}: {missed} of {total} gold {what} cannot be learned ({reasons}). First: {examples}. Do "
    "the predicted Docs have entities? A corpus reader with mentions = true gives them the gold ones.",
    "W020": "Component {name!r}: {missed} of {total} gold {what} cannot be learned ({reasons}). First: {examples}.",
    "W021": "Component {name!r}: {count} Docs do not fit beside their options; only their beginning is read, up to "
    "{maximum} pieces with the option. An encoder with more positions reads more.",
    "W022": "Component {name!r}: {count} options with their questions do not fit beside their Doc; only their "
    "beginning is read, up to {maximum} pieces with the Doc. First: {first!r}.",
    "W025": "{path}: {unknown} of {total} titles are not in the checkpoint's entity vocabulary and get no row. First: "
    "{examples}. Titles must be spelled as there, as {known!r} is; those of several languages start with one ('en:').",
    "W026": "Component {name!r} was added without a checkpoint and uses the encoder of the bundled "
    "model (en_luke_mini). For another one: nlp.get_pipe({name!r}).load_checkpoint(...).",
    "W023": "Component {name!r}: {missing} of {total} entities of the knowledge base are not in the entity vocabulary, "
    "so the model cannot score them: {treatment}. First: {examples}.",
    "W031": "Component {name!r}: the model's output is not finite (NaN or infinite), so that its predictions mean "
    "nothing. Its weights have diverged in training: load an earlier checkpoint, or train again with a lower learning "
    "rate or a grad_clip of the optimizer.",
    "W042": "Component {name!r}: the knowledge base has {entities} entities and no alias, so that no mention has a "
    "candidate and each becomes NIL. Give its aliases (kb.add_alias, or a knowledge base of luke build-kb), or a "
    "get_candidates that needs none.",
    "W049": "{path} cannot be locked ({reason}): make sure that no other run writes to it at the same time.",
    "W050": "No worker has started for {seconds} s: each needs {needed}, and the Ray cluster has {free} free. The run "
    "waits for them.",
    "W024": "Component {name!r}: none of {count} Docs has a gold link, so nothing is learned. Set kb_id_ of the "
    "entities of the references.",
    "W027": "{path} has entity-aware queries of its own. They are left out, and copies of its queries for pieces take "
    "their place: pretraining is with plain attention. To train them, set entity_aware_attention = true.",
    "W034": "The tokens of a Doc cut {token!r}, a word that was added to the checkpoint's tokenizer, into {parts}. "
    "There the model sees the parts, as LukeTokenizer gives them for spans of these tokens. For the whole word, make "
    "it one token: nlp.tokenizer.add_special_case, or a component that merges tokens.",
    "W028": "No entity of the corpus of [pretraining] {corpus} is in the entity vocabulary: its entities are not "
    "evaluated.",
    "W046": "No entity of what was read has the type {missing}, which {option} names. Types that occur: {known}.",
    "W047": "Component {name!r} classifies entities, and no component before it finds any, so that it predicts "
    "nothing. Its scores on gold entities: --gold-entities.",
    "W030": "Component {name!r} was saved without the encoder that it uses: {reason}. "
    "Only its head is there, which cannot run without that luke_encoder: save both in one pipeline, or give it a copy "
    "with nlp.replace_listeners.",
    "W038": "component_grad_clip of {name!r} names {unknown}, which do not share its encoder, and has no bound for "
    "{unbounded}, which do: their gradients are not bounded.",
    "W039": "Component {name!r}: it is initialized with other labels ({kept}), and can predict {dropped} no more. To "
    "keep them, add labels with add_label and go on with nlp.resume_training() instead of nlp.initialize(), or name "
    "all under [initialize.components.{name}] labels.",
    "W051": "Training ends at step {last} ({why}): {problems}. Set max_epochs or max_steps, eval_frequency and the "
    "schedule of the learning rate under [training] to the size of your data. configs/ner_small.cfg is for few "
    "sentences.",
}
