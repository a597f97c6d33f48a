#!/usr/bin/env python3
"""One process of crowd.py --torch: training steps of a small network until the time is up, and a loss that must fall.

usage: tests/gpu/torch_crowd.py --warm-up S --seconds S

Says "ready" when warm, waits for a line, prints {"iterations", "seconds", "check"} as JSON.
"""

import argparse
import json
import sys
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()

    import torch
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512), torch.nn.ReLU(),
                              torch.nn.Linear(512, 16)).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    x = torch.randn(128, 256).pin_memory()
    y = (x[:, :16] * 2 + x[:, 16:32]).pin_memory()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(net(x.cuda(non_blocking=True)), y.cuda(non_blocking=True))
        loss.backward()
        optimizer.step()
        return loss

    def for_seconds(seconds):
        iterations, start = 0, time.monotonic()
        while time.monotonic() - start < seconds:
            for _ in range(10):
                loss = step()
            iterations += 10
            value = loss.item()  # as a training loop reads it now and then
        torch.cuda.synchronize()
        return iterations, time.monotonic() - start, value

    first = step().item()
    for_seconds(args.warm_up)
    print("ready", flush=True)
    sys.stdin.readline()
    iterations, seconds, last = for_seconds(args.seconds)
    if not last < first:
        print(f"torch_crowd: the loss was {first} and is {last}", file=sys.stderr)
        return 1
    print(json.dumps({"iterations": iterations, "seconds": seconds, "check": last}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
