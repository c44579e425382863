#!/usr/bin/python3
"""The peer of `crumb bench train`: one training step of ResNet-20 (identity-pad shortcuts, 32x32x3, batch 128) in PyTorch on the CPU.

usage: torch_resnet20.py float|dorefa [STEPS] [THREADS]
prints one JSON object: train_images_per_second, peak_mb. Needs Debian's python3-torch.

PyTorch at its best: channels-last memory, data already in memory. dorefa is the usual way to train at 2 bits there: weights and
activations are rounded in float (DoReFa-Net, W2A2, every convolution but no linear layer) with a straight-through gradient."""
import json
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class RoundThrough(torch.autograd.Function):
    """Rounds to n steps in [0, 1]; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx, x, n):
        return torch.round(x * n) / n

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class LowBitConv(nn.Conv2d):
    def forward(self, x):
        t = torch.tanh(self.weight)
        w = 2 * RoundThrough.apply(t / (2 * t.abs().max()) + 0.5, 3.0) - 1
        return F.conv2d(x, w, None, self.stride, self.padding)


def low_bit_activation(x):
    return RoundThrough.apply(x.clamp(0, 1), 3.0)


class Block(nn.Module):
    def __init__(self, conv, activation, channels_in, channels, stride):
        super().__init__()
        self.conv1 = conv(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.activation, self.stride, self.side = activation, stride, (channels - channels_in) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.side, self.side))
        return self.activation(x + y)


def resnet20(mode):
    conv, activation = (nn.Conv2d, F.relu) if mode == "float" else (LowBitConv, low_bit_activation)

    class Stem(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = conv(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)

        def forward(self, x):
            return activation(self.bn(self.conv(x)))

    shapes = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    blocks = [Block(conv, activation, i, o, s) for i, o, s in shapes]
    return nn.Sequential(Stem(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else "float"
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    if len(sys.argv) > 3:
        torch.set_num_threads(int(sys.argv[3]))
    net = resnet20(mode).to(memory_format=torch.channels_last)
    x = torch.randn(128, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (128,))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()

    for _ in range(3):
        step()
    start = time.time()
    for _ in range(steps):
        step()
    rate = 128 * steps / (time.time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peer": "PyTorch " + torch.__version__, "mode": mode, "train_images_per_second": round(rate, 1),
                      "peak_mb": round(peak)}))


main()
