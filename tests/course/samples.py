"""Pieces of course.yaml that several tests use."""

from __future__ import annotations

FINAL_PROJECT = """final_project:
  max_bytes: 1000
  costs: [imt-2025]
  datasets:
    digits:
      input_shape: [1, 8, 8]
      pixel_max: 16
      classes: 10
      test_images: 360
      gate_correct: 342
      network: {params: 10, ops: 20}
      perturbation_drop: 0.01
      references: {imt-2025: {params: 10, ops: 20}}
"""
