"""HW-GPT-Bench, scale M: perplexity of sub-networks, and what they cost on fourteen devices."""

from __future__ import annotations

from typing import ClassVar

from untrained.benchmarks._hw_gpt import HwGpt, files
from untrained.core.benchmark import File, benchmark


@benchmark
class HwGptM(HwGpt):
    """HW-GPT-Bench, scale M: perplexity of sub-networks, and what they cost on fourteen devices.

    22 to 24 layers, width 256, 512 or 1,024, 8, 12 or 16 heads, feed-forward layers of 2, 3 or 4 times the
    width. Perplexity and next-token accuracy are those of sub-networks of one trained supernet, not of
    networks trained alone. The two files have few shapes in common, so a row has what is known of its shape.
    Latency in ms, energy in kWh, memory in MiB; columns lat_ms_DEVICE, energy_kwh_DEVICE, mem_mib_DEVICE
    become latency_device and so on. The authors keep pickles; this reads two CSV files with a line a shape:
    embed_dim, n_layer, n_head, mlp_ratio (4-12-8), bias, and the measured columns. 0 in the recipe stands
    for what the files do not say.

    Source:  Sukthanker et al. 2024, arXiv:2405.10299; github.com/automl/HW-GPT-Bench, early commits
    Licence: Apache-2.0
    Rows:    2,500 shapes a file in the part that was checked
    Bytes:   about 1.2 million in two CSV files
    """

    files: ClassVar[tuple[File, ...]] = files("m")
