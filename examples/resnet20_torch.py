#!/usr/bin/python3
"""A CIFAR ResNet (He et al., option A) as a plain PyTorch module, and the way of its weights into crumb and back.

    resnet20_torch.py export WEIGHTS.safetensors NET.onnx      float weights as ONNX, for crumb import
    resnet20_torch.py eval WEIGHTS.safetensors CIFAR_FOLDER [IMAGES]
        top-1 on CIFAR-10's test batch. WEIGHTS may come from crumb export --format safetensors, with --form codes too:
        weights are then the quantized ones, and the inputs of layers are quantized as the file's metadata says.

Needs PyTorch alone (Debian: python3-torch, and for export python3-onnx); safetensors are 8 bytes, JSON and raw data."""
import json
import os
import struct
import sys
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F

DTYPES = {'F32': torch.float32, 'I64': torch.int64, 'I16': torch.int16, 'I8': torch.int8}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.added:
            before = self.added // 2
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, before, self.added - before))
        return F.relu(x + y)


class ResNet(nn.Module):
    """Depth, widths and names as the tensors have them."""

    def __init__(self, tensors):
        super().__init__()
        width, channels = tensors['conv1.weight'].shape[:2]
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        inputs = width
        for stage in (1, 2, 3):
            blocks = []
            while 'layer%d.%d.conv1.weight' % (stage, len(blocks)) in tensors:
                outputs = tensors['layer%d.%d.conv1.weight' % (stage, len(blocks))].shape[0]
                blocks.append(Block(inputs, outputs, 2 if stage > 1 and not blocks else 1))
                inputs = outputs
            setattr(self, 'layer%d' % stage, nn.Sequential(*blocks))
        self.head = next(name[:-len('.weight')] for name, t in tensors.items() if name.endswith('.weight') and t.dim() == 2)
        setattr(self, self.head, nn.Linear(inputs, tensors[self.head + '.weight'].shape[0]))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return getattr(self, self.head)(x.mean((2, 3)))


def read_safetensors(path):
    """Tensors by name, without DataParallel's "module.", and the metadata."""
    with open(path, 'rb') as file:
        header = json.loads(file.read(struct.unpack('<Q', file.read(8))[0]))
        data = file.read()
    metadata, tensors = header.pop('__metadata__', {}), {}
    for name, entry in header.items():
        begin, end = entry['data_offsets']
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=DTYPES[entry['dtype']])
        tensors[name[len('module.'):] if name.startswith('module.') else name] = flat.reshape(entry['shape'])
    return tensors, metadata


def decode(tensors):
    """Integer codes times their scales: one, or one an output channel."""
    for name in [name for name in tensors if name.endswith('_scale')]:
        weight, scale = name[:-len('_scale')], tensors.pop(name)
        tensors[weight] = tensors[weight].float() * scale.reshape([-1] + [1] * (tensors[weight].dim() - 1))
    return tensors


def quantize_inputs(model, layers):
    """Puts crumb's quantizers in front of the layers that have one; Q(x) = scale * clip(round(x / scale), low, high)."""
    modules = dict(model.named_modules())
    for name, layer in layers.items():
        rule = layer['input']
        if rule is None:
            continue
        if 'scale' not in rule:
            sys.exit('%s: %s has no scale: the module would have to be written for it' % (name, rule['quantizer']))

        def quantize(module, inputs, rule=rule):
            return (torch.clamp(torch.round(inputs[0] / rule['scale']), rule['low'], rule['high']) * rule['scale'],)
        modules[name].register_forward_pre_hook(quantize)


def load(path):
    tensors, metadata = read_safetensors(path)
    model = ResNet(tensors)
    missing, unexpected = model.load_state_dict(decode(tensors), strict=False)
    if unexpected or any(not name.endswith('num_batches_tracked') for name in missing):
        sys.exit('%s: lacks %s; has besides %s' % (path, missing, unexpected))
    quantize_inputs(model, json.loads(metadata.get('crumb.layers', '{}')))
    return model.eval(), metadata


def export(weights, path):
    model, _ = load(weights)
    # Batch norm stays a node of its own, and tensors keep their names: the network goes on being trained.
    keep = {'training': torch.onnx.TrainingMode.PRESERVE, 'do_constant_folding': False}
    torch.onnx.export(model, torch.zeros(1, 3, 32, 32), path, opset_version=13, input_names=['image'], output_names=['logits'],
                      dynamic_axes={'image': {0: 'batch'}, 'logits': {0: 'batch'}}, **keep)


def evaluate(weights, folder, limit):
    model, metadata = load(weights)
    with open(os.path.join(folder, 'test_batch.bin'), 'rb') as file:
        rows = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).reshape(-1, 3073)[:limit]
    mean, deviation = (torch.tensor([float(v) for v in metadata[key].split(',')] if key in metadata else preset).reshape(3, 1, 1)
                       for key, preset in (('crumb.mean', MEAN), ('crumb.deviation', DEVIATION)))
    right = 0
    with torch.no_grad():
        for at in range(0, len(rows), 250):
            part = rows[at:at + 250]
            images = (part[:, 1:].reshape(-1, 3, 32, 32).float() / 255 - mean) / deviation
            right += int((model(images).argmax(1) == part[:, 0]).sum())
    print('%.2f' % (100 * right / len(rows)))


def main(arguments):
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    if len(arguments) == 3 and arguments[0] == 'export':
        export(*arguments[1:])
    elif len(arguments) in (3, 4) and arguments[0] == 'eval':
        evaluate(arguments[1], arguments[2], int(arguments[3]) if len(arguments) == 4 else 10000)
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
