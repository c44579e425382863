#!/usr/bin/python3
"""Models for bench/ort.cjs, random weights: resnet20.onnx and resnet18.onnx in float, *-int8.onnx quantized as ONNX Runtime's own tools
do it (QDQ, int8 weights a channel, uint8 activations, residual additions too), batch size free, and matrix-vector products with
2-, 4- and 8-bit weights. Written into the current folder. Debian: apt-get install python3-onnx"""
import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

rng = np.random.default_rng(1)


class Network:
    """An ONNX graph under construction; with int8, inputs and weights of layers go through QuantizeLinear and DequantizeLinear."""

    def __init__(self, int8):
        self.int8, self.nodes, self.tensors, self.quantized = int8, [], [], {}

    def tensor(self, value):
        self.tensors.append(numpy_helper.from_array(value, "t%d" % len(self.tensors)))
        return self.tensors[-1].name

    def node(self, op, inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, ["v%d" % len(self.nodes)], **attributes))
        return self.nodes[-1].output[0]

    def activation(self, x):
        if self.int8 and x not in self.quantized:
            scale, zero = self.tensor(np.float32(0.05)), self.tensor(np.uint8(0))
            self.quantized[x] = self.node("DequantizeLinear", [self.node("QuantizeLinear", [x, scale, zero]), scale, zero])
        return self.quantized.get(x, x)

    def weight(self, shape):
        value = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        if not self.int8:
            return self.tensor(value)
        scale = (np.abs(value.reshape(shape[0], -1)).max(1) / 127).astype(np.float32)
        codes = np.rint(value / scale.reshape((-1,) + (1,) * (len(shape) - 1))).astype(np.int8)
        return self.node("DequantizeLinear", [self.tensor(codes), self.tensor(scale), self.tensor(np.zeros(shape[0], np.int8))],
                         axis=0)

    def conv(self, x, channels, out, kernel, stride):
        bias, padding = self.tensor(rng.normal(0, 0.1, out).astype(np.float32)), (kernel - 1) // 2
        return self.node("Conv", [self.activation(x), self.weight((out, channels, kernel, kernel)), bias],
                         kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4)

    def relu(self, x):
        return self.node("Relu", [x])

    def block(self, x, channels, out, stride, projection):
        y = self.conv(self.relu(self.conv(x, channels, out, 3, stride)), out, out, 3, 1)
        if projection and channels != out:
            x = self.conv(x, channels, out, 1, stride)
        elif channels != out:
            ends = [np.array(v, np.int64) for v in ([0, 0], [1 << 30] * 2, [2, 3], [2, 2])]
            x = self.node("Slice", [x] + [self.tensor(v) for v in ends])
            pad = (out - channels) // 2
            x = self.node("Pad", [x, self.tensor(np.array([0, pad, 0, 0, 0, pad, 0, 0], np.int64))])
        return self.relu(self.node("Add", [self.activation(x), self.activation(y)]))

    def head(self, x, channels, classes):
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        bias = self.tensor(np.zeros(classes, np.float32))
        return self.node("Gemm", [self.activation(x), self.weight((classes, channels)), bias], transB=1)

    def save(self, path, x, y):
        shapes = [helper.make_tensor_value_info(*v) for v in (x, y)]
        self.nodes[-1].output[0] = y[0]
        graph = helper.make_graph(self.nodes, "graph", shapes[:1], shapes[1:], self.tensors)
        sets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
        save(helper.make_model(graph, opset_imports=sets, ir_version=8), path)


def resnet(name, size, classes, widths, depth, projection, int8):
    n = Network(int8)
    if size > 32:
        x = n.node("MaxPool", [n.relu(n.conv("x", 3, 64, 7, 2))], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    else:
        x = n.relu(n.conv("x", 3, widths[0], 3, 1))
    channels = widths[0]
    for stage, out in enumerate(widths):
        for i in range(depth):
            x = n.block(x, channels, out, 2 if stage > 0 and i == 0 else 1, projection)
            channels = out
    n.head(x, channels, classes)
    n.save(name + ("-int8" if int8 else "") + ".onnx", ("x", TensorProto.FLOAT, ["N", 3, size, size]),
           ("y", TensorProto.FLOAT, ["N", classes]))


def product(rows, columns, bits, group=128):
    n = Network(False)
    weight = n.tensor(rng.integers(0, 256, (rows, columns // group, group * bits // 8), dtype=np.uint8))
    scale = n.tensor((rng.random(rows * columns // group) * 0.01).astype(np.float32))
    n.node("MatMulNBits", ["x", weight, scale], domain="com.microsoft", K=columns, N=rows, bits=bits, block_size=group,
           accuracy_level=4)
    n.save("matrix-%dx%d-%dbit.onnx" % (rows, columns, bits), ("x", TensorProto.FLOAT, ["N", columns]),
           ("y", TensorProto.FLOAT, ["N", rows]))


for int8 in (False, True):
    resnet("resnet20", 32, 10, (16, 32, 64), 3, False, int8)
    resnet("resnet18", 224, 1000, (64, 128, 256, 512), 2, True, int8)
for columns in (14336, 11008):
    for bits in (2, 4, 8):
        product(4096, columns, bits)
