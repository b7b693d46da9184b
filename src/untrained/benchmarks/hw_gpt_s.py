"""HW-GPT-Bench, scale S: perplexity of sub-networks, and what they cost on fourteen devices."""

from __future__ import annotations

from typing import ClassVar

from untrained.benchmarks._hw_gpt import HwGpt, files
from untrained.core.benchmark import File, benchmark


@benchmark
class HwGptS(HwGpt):
    """HW-GPT-Bench, scale S: perplexity of sub-networks, and what they cost on fourteen devices.

    10 to 12 layers, width 192, 384 or 768, 4, 8 or 12 heads, feed-forward layers of 2, 3 or 4 times the
    width. Perplexity and next-token accuracy are those of sub-networks of one trained supernet, not of
    networks trained alone. The two files have few shapes in common, so a row has what is known of its shape.
    Latency in ms, energy in kWh, memory in MiB; columns lat_ms_DEVICE, energy_kwh_DEVICE, mem_mib_DEVICE
    become latency_device and so on. The authors keep pickles; this reads two CSV files with a line a shape:
    embed_dim, n_layer, n_head, mlp_ratio (4-12-8), bias, and the measured columns. 0 in the recipe stands
    for what the files do not say.

    Source:  Sukthanker et al. 2024, arXiv:2405.10299; github.com/automl/HW-GPT-Bench, early commits
    Licence: Apache-2.0
    Rows:    2,500 shapes a file in the part that was checked
    Bytes:   about 0.9 million in two CSV files
    """

    files: ClassVar[tuple[File, ...]] = files("s")
