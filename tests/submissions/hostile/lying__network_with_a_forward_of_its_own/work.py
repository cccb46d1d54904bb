from torch import nn


class Cheat(nn.Linear):
    def forward(self, x):
        print("@ESCAPED@")
        return super().forward(x)


def network(inputs, outputs):
    net = nn.Sequential(Cheat(inputs, outputs))
    net.forward = lambda x: x.new_zeros(len(x), outputs)
    return net
