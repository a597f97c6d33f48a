"""Trains a small network on numbers that it can learn; prints a line of JSON every 20 steps, and whether it learned.

usage: pytorch_train.py [--steps N] [--batch N]
"""

import argparse
import json
import sys
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--batch", type=int, default=256)
options = parser.parse_args()
if not torch.cuda.is_available():
    sys.exit("PyTorch finds no CUDA device.")

torch.manual_seed(1)
device = torch.device("cuda")
network = torch.nn.Sequential(
    torch.nn.Linear(64, 512), torch.nn.GELU(), torch.nn.Linear(512, 512), torch.nn.GELU(), torch.nn.Linear(512, 1)
).to(device)
optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
inputs = torch.randn(8192, 64)
targets = (inputs[:, :8].sum(1, keepdim=True) * 0.5).tanh()

losses, began = [], time.perf_counter()
for step in range(1, options.steps + 1):
    rows = torch.randint(len(inputs), (options.batch,))
    x, y = inputs[rows].to(device), targets[rows].to(device)
    loss = torch.nn.functional.mse_loss(network(x), y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 20 == 0:
        losses.append(loss.item())  # waits for the device
        now = time.perf_counter()
        print(json.dumps({"step": step, "loss": losses[-1], "samples_per_second": 20 * options.batch / (now - began)}),
              flush=True)
        began = now

half = len(losses) // 2
learned = sum(losses[half:]) / len(losses[half:]) < sum(losses[:half]) / len(losses[:half])
print(json.dumps({"learned": learned}))
