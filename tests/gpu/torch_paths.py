#!/usr/bin/env python3
"""What PyTorch's ways to a GPU take. Knows nothing of nearmetal; for tests/gpu/paths.py --program.

usage: torch_paths.py [--rounds N] [--quick] [CASE...]

One JSON object a case: {"case", "unit", "samples", "check"}; lower is better. `check` is what was computed, to be compared
between two ways to the same GPU.
"""

import argparse
import hashlib
import json
import os
import sys
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
import torch  # noqa: E402

DEVICE = "cuda"


def digest(*tensors):
    h = hashlib.sha256()
    for t in tensors:
        h.update(t.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy().tobytes())
    return h.hexdigest()[:16]


def timed(work, times):
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def small_kernels(quick):
    x = torch.zeros(1024, device=DEVICE)
    return "us", lambda: timed(lambda: x.add_(1), 200 if quick else 10_000) * 1e6, lambda: float(x[7])


def item(quick):
    x = torch.arange(64, device=DEVICE, dtype=torch.float32)
    return "us", lambda: timed(lambda: x[3].item(), 50 if quick else 3_000) * 1e6, lambda: x[3].item()


def add_item(quick):
    x = torch.zeros(1, device=DEVICE)
    return "us", lambda: timed(lambda: x.add_(1).item(), 50 if quick else 3_000) * 1e6, lambda: x.item()


def graph_replay(quick):
    model = torch.nn.Sequential(*[torch.nn.Linear(256, 256) for _ in range(8)]).to(DEVICE)
    x = torch.randn(64, 256, device=DEVICE)
    side = torch.cuda.Stream()
    with torch.no_grad(), torch.cuda.stream(side):
        for _ in range(3):
            model(x)
    side.synchronize()
    g = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(g):
        y = model(x)
    return "us", lambda: timed(g.replay, 50 if quick else 2_000) * 1e6, lambda: digest(y)


def training(model, batch, loss_of, steps):
    opt = torch.optim.AdamW(model.parameters(), lr=1e-4)
    last = [None]

    def step():
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = loss_of(model, batch)
        loss.backward()
        opt.step()
        last[0] = loss.detach()

    for _ in range(3):
        step()
    return "ms", lambda: timed(step, steps) * 1e3, lambda: float(last[0])


def resnet50(quick):
    import torchvision
    model = torchvision.models.resnet50().to(DEVICE, memory_format=torch.channels_last)
    n = 4 if quick else 64
    x = torch.randn(n, 3, 224, 224, device=DEVICE).to(memory_format=torch.channels_last)
    y = torch.randint(0, 1000, (n,), device=DEVICE)
    return training(model, (x, y), lambda m, b: torch.nn.functional.cross_entropy(m(b[0]).float(), b[1]), 2 if quick else 20)


def bert(quick):
    from transformers import BertConfig, BertForMaskedLM
    model = BertForMaskedLM(BertConfig(attn_implementation="eager")).to(DEVICE)
    ids = torch.randint(0, 30000, (2 if quick else 16, 128), device=DEVICE)
    return training(model, ids, lambda m, b: m(input_ids=b, labels=b).loss, 2 if quick else 20)


def gpt2(quick):
    from transformers import GPT2Config, GPT2LMHeadModel
    model = GPT2LMHeadModel(GPT2Config(attn_implementation="eager")).to(DEVICE)
    ids = torch.randint(0, 50000, (2, 128) if quick else (8, 512), device=DEVICE)
    return training(model, ids, lambda m, b: m(input_ids=b, labels=b).loss, 2 if quick else 20)


def decode(quick):
    from transformers import LlamaConfig, LlamaForCausalLM
    layers = 2 if quick else 16
    model = LlamaForCausalLM(LlamaConfig(hidden_size=2048, intermediate_size=8192, num_hidden_layers=layers, num_attention_heads=32,
                                         num_key_value_heads=8, vocab_size=128256, attn_implementation="eager"))
    model = model.to(DEVICE, torch.bfloat16).eval()
    tokens = 8 if quick else 64
    seen = [None]

    def generate():
        ids = torch.arange(16, device=DEVICE).unsqueeze(0)
        past, out = None, []
        with torch.inference_mode():
            for _ in range(tokens):
                result = model(input_ids=ids, past_key_values=past, use_cache=True)
                past = result.past_key_values
                ids = result.logits[:, -1:].argmax(-1)
                out.append(ids.item())
        seen[0] = out

    generate()
    return "ms", lambda: timed(generate, 1) * 1e3 / tokens, lambda: seen[0]


CASES = {f.__name__: f for f in (small_kernels, item, add_item, graph_replay, resnet50, bert, gpt2, decode)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    for name in args.cases or CASES:
        torch.manual_seed(7)
        torch.use_deterministic_algorithms(True, warn_only=True)
        unit, sample, check = CASES[name](args.quick)
        sample()
        samples = [sample() for _ in range(args.rounds)]
        print(json.dumps({"case": name, "unit": unit, "samples": samples, "check": check()}), flush=True)
        torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main())
