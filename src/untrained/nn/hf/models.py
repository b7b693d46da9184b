"""Our own networks as Hugging Face models, where no stock class computes the same.

`untrained_decoder` and `untrained_rnn` are causal language models with a cache, `untrained_encoder` a masked
one, and all of them can be classifiers. Each holds one of our networks, described whole in its configuration.

What a cache is: keys and values where every layer attends by softmax; the cells' states of a recurrent
network. A cosformer layer has none, since its weights depend on the length of the text: the text is read anew
for every token, and `generate` gives the same with and without `use_cache`.
"""

from __future__ import annotations

from untrained.nn.hf.as_decoder import UntrainedDecoderForCausalLM
from untrained.nn.hf.as_encoder import (
    UntrainedDecoderForSequenceClassification,
    UntrainedEncoderForMaskedLM,
    UntrainedEncoderForSequenceClassification,
    UntrainedEncoderModel,
    UntrainedRnnForSequenceClassification,
)
from untrained.nn.hf.as_rnn import UntrainedRnnForCausalLM
from untrained.nn.hf.register import list_models
from untrained.nn.hf.shell import DecoderConfig, EncoderConfig, RnnConfig

CLASSIFIER = "AutoModelForSequenceClassification"
CONFIGS = {"decoder": DecoderConfig, "encoder": EncoderConfig, "rnn": RnnConfig}

list_models(
    DecoderConfig,
    {
        "AutoModelForCausalLM": UntrainedDecoderForCausalLM,
        CLASSIFIER: UntrainedDecoderForSequenceClassification,
    },
)
list_models(
    RnnConfig,
    {"AutoModelForCausalLM": UntrainedRnnForCausalLM, CLASSIFIER: UntrainedRnnForSequenceClassification},
)
list_models(
    EncoderConfig,
    {
        "AutoModel": UntrainedEncoderModel,
        "AutoModelForMaskedLM": UntrainedEncoderForMaskedLM,
        CLASSIFIER: UntrainedEncoderForSequenceClassification,
    },
)
