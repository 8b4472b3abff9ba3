"""The networks of the textbooks, each a clear module with its source; `pellucid train` trains them.

The classical machines (perceptron, ADALINE, radial-basis, Hopfield, Boltzmann, Kohonen) bring their own rule as
`learn` or `store`; the others are trained by gradient.
"""

from pellucid.zoo.adaline import Adaline
from pellucid.zoo.alexnet import AlexNet
from pellucid.zoo.boltzmann import RestrictedBoltzmann
from pellucid.zoo.hopfield import Hopfield
from pellucid.zoo.inception_v1 import InceptionV1
from pellucid.zoo.kohonen import Kohonen
from pellucid.zoo.lenet5 import LeNet5
from pellucid.zoo.multilayer_perceptron import MultilayerPerceptron
from pellucid.zoo.perceptron import Perceptron
from pellucid.zoo.pooling import (
    AveragePool,
    GatedPool,
    GlobalAveragePool,
    L2Pool,
    MaxPool,
    MixedPool,
    SpatialPyramidPool,
    StochasticPool,
)
from pellucid.zoo.radial_basis import RadialBasis
from pellucid.zoo.small_resnet import SmallResNet
from pellucid.zoo.time_delay import TimeDelay
from pellucid.zoo.vgg16 import VGG16

__all__ = [
    "VGG16",
    "Adaline",
    "AlexNet",
    "AveragePool",
    "GatedPool",
    "GlobalAveragePool",
    "Hopfield",
    "InceptionV1",
    "Kohonen",
    "L2Pool",
    "LeNet5",
    "MaxPool",
    "MixedPool",
    "MultilayerPerceptron",
    "Perceptron",
    "RadialBasis",
    "RestrictedBoltzmann",
    "SmallResNet",
    "SpatialPyramidPool",
    "StochasticPool",
    "TimeDelay",
]
