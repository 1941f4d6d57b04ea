"""A training step of the networks of `limen-train bench-step` in PyTorch: NETWORK BATCH STEPS THREADS [last|bf16]."""
import resource
import sys
import time

import torch
from torch import nn

network, batch, steps, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
bf16 = sys.argv[5:] == ["bf16"]
torch.set_num_threads(threads)
torch.manual_seed(7)


class Layer(nn.Module):
    def __init__(self, inputs, outputs, stride, norm):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=stride == 2 and not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.act = nn.PReLU(outputs)

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


class Unit(nn.Module):
    def __init__(self, channels, norm):
        super().__init__()
        self.pair = nn.Sequential(Layer(channels, channels, 1, norm), Layer(channels, channels, 1, norm))

    def forward(self, x):
        return x + self.pair(x)


width, units, norm = {
    "sphereface-4": (64, (0, 0, 0, 0), False),
    "sphereface-20": (64, (1, 2, 4, 1), False),
    "half10": (32, (0, 1, 2, 0), True),
}[network]
channels = [3, width, 2 * width, 4 * width, 8 * width]
layers = []
for i in range(4):
    layers.append(Layer(channels[i], channels[i + 1], 2, norm))
    layers += [Unit(channels[i + 1], norm) for _ in range(units[i])]
last = channels[4]
if norm:
    layers += [nn.Conv2d(last, last, (7, 6), groups=last, bias=False), nn.Flatten(), nn.Linear(last, 128)]
else:
    layers += [nn.Flatten(), nn.Linear(last * 42, 512)]
model = nn.Sequential(*layers, nn.Linear(128 if norm else 512, 100, bias=False))
x = torch.randn(batch, 3, 112, 96) * 0.5
if sys.argv[5:]:  # bf16 is fastest on channels-last memory
    model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
labels = torch.tensor([i * 37 % 100 for i in range(batch)])
bias = [p for n, p in model.named_parameters() if n.endswith("bias")]
weights = [p for n, p in model.named_parameters() if not n.endswith("bias")]
groups = [{"params": weights, "weight_decay": 5e-4}, {"params": bias, "weight_decay": 0}]
optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


best, best_cpu = float("inf"), float("inf")
for step in range(steps):
    start, cpu = time.time(), cpu_seconds()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = nn.functional.cross_entropy(model(x).float(), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    loss.item()
    if step > 0:
        best, best_cpu = min(best, time.time() - start), min(best_cpu, cpu_seconds() - cpu)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
kind = f"torch {torch.__version__.split('+')[0]}{' ' + sys.argv[5] if sys.argv[5:] else ''}"
print(f"{network} {batch} {kind:<18} {best:.3f} {best_cpu:.3f} {peak}")
