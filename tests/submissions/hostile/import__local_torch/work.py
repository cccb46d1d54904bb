import json

import numpy
import torch

import shared.models
