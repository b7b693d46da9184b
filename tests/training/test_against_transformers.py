"""The same model, batches and settings in the Trainer of transformers: the same losses, the same weights."""

import pytest
import torch
from toys import language

from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.trainer import fit

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")


def llama():
    config = transformers.LlamaConfig(
        vocab_size=260,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.LlamaForCausalLM(config)


class InOrder(torch.utils.data.IterableDataset):
    """Our batches, sequence by sequence."""

    def __init__(self, data, recipe):
        self.data, self.recipe = data, recipe

    def __iter__(self):
        for step in range(self.recipe.steps):
            batch = self.recipe.lesson(self.data, step)
            for tokens, targets in zip(batch.tokens, batch.targets, strict=True):
                whole = torch.cat([tokens, targets[-1:]])
                yield {"input_ids": whole, "labels": whole}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parts", [1, 2])
def test_losses_and_weights_are_those_of_their_trainer(tmp_path, parts):
    data = language(tmp_path)
    recipe = CausalLM(
        length=16,
        batch=8,
        steps=8,
        eval_every=8,
        eval_windows=4,
        log_every=1,
        accumulation=parts,
        schedule="constant",
        warmup=0,
        weight_decay=0,
        clip=0.7,
    )
    theirs = llama()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "theirs"),
        max_steps=8,
        per_device_train_batch_size=8 // parts,
        gradient_accumulation_steps=parts,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        weight_decay=0,
        adam_beta1=0.9,
        adam_beta2=0.95,
        max_grad_norm=0.7,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = transformers.Trainer(theirs, arguments, train_dataset=InOrder(data, recipe))
    trainer.train()
    said = [x["loss"] for x in trainer.state.log_history if "loss" in x]
    ours = fit(llama(), recipe, data)
    assert [x["loss"] for x in ours.curve if "loss" in x] == pytest.approx(said, abs=2e-4)
    for a, b in zip(ours.model.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-5)
