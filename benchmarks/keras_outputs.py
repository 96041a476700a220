"""Write tests/nets/keras_outputs.npz: what Keras computes with the articles' nets.

    python benchmarks/keras_outputs.py        # in an environment with TensorFlow and Keras

tests/nets/test_keras.py compares our nets with it. No weights need to be stored: both sides draw
them from the name of each layer (tests/keras_weights.py). Layers are named as our links are.
"""

import pathlib
import sys

import keras
import numpy as np
from keras import layers

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests'))

import keras_weights  # noqa: E402


def simple():
    x = image = keras.Input((32, 32, 3))
    x = layers.Conv2D(30, 5, activation='relu', name='conv2d_1')(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(100, activation='relu', name='dense_1')(x)
    return keras.Model(image, layers.Dense(10, name='dense_2')(x))


def conv10():
    x = image = keras.Input((32, 32, 3))
    number = 0
    for channels in (64, 128, 256):
        for size in (1, 3, 5):
            number += 1
            x = layers.Conv2D(channels, size, name=f'conv2d_{number}')(x)
            x = layers.BatchNormalization(name=f'batch_normalization_{number}')(x)
            x = layers.Activation('relu')(x)
        x = layers.Dropout(0.25)(x)
        if channels == 64:
            x = layers.MaxPooling2D(2)(x)
    return keras.Model(image, layers.Dense(10, name='dense_1')(layers.Flatten()(x)))


def resnet164():
    def conv(filters, size, strides, name):
        return layers.Conv2D(filters, size, strides, padding='same', use_bias=False, name=name)

    def active(x, name):
        return layers.Activation('relu')(layers.BatchNormalization(name=name)(x))

    x = image = keras.Input((32, 32, 3))
    x = conv(16, 3, 1, 'conv1')(x)
    unit = 0
    for filters, strides in ((64, 1), (128, 2), (256, 2)):
        for i in range(18):
            name = f'units_{unit}'
            unit += 1
            shortcut = x
            b = active(x, f'{name}_bn1')
            h = conv(filters // 4, 1, strides if i == 0 else 1, f'{name}_conv1')(b)
            h = conv(filters // 4, 3, 1, f'{name}_conv2')(active(h, f'{name}_bn2'))
            h = conv(filters, 1, 1, f'{name}_conv3')(active(h, f'{name}_bn3'))
            if i == 0:
                shortcut = conv(filters, 1, strides, f'{name}_shortcut')(b)
            x = layers.Add()([h, shortcut])
    x = layers.GlobalAveragePooling2D()(active(x, 'bn'))
    return keras.Model(image, layers.Dense(10, name='fc')(x))


def vgg16bn():
    x = image = keras.Input((32, 32, 3))
    for block, filters, count in ((1, 64, 2), (2, 128, 2), (3, 256, 3), (4, 512, 3), (5, 512, 3)):
        for number in range(1, count + 1):
            name = f'block{block}_conv{number}'
            x = layers.Conv2D(filters, 3, activation='relu', padding='same', name=name)(x)
            x = layers.BatchNormalization(name=f'{name}_bn')(x)
        x = layers.MaxPooling2D(2, strides=2, padding='same')(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(layers.Dense(4096, activation='relu', name='fc1')(x))
    x = layers.Dropout(0.5)(layers.Dense(4096, activation='relu', name='fc2')(x))
    return keras.Model(image, layers.Dense(10, name='predictions')(x))


def mobilenet():
    image = keras.Input((32, 32, 3))
    body = keras.applications.MobileNet(
        input_tensor=image, include_top=False, pooling='avg', weights=None
    )
    return keras.Model(image, layers.Dense(10, name='fc')(body.output))


def main():
    images = keras_weights.images()
    outputs = {}
    for build in (simple, conv10, resnet164, vgg16bn, mobilenet):
        model = build()
        for layer in model.layers:
            if layer.weights:
                shapes = {weight.name: tuple(weight.shape) for weight in layer.weights}
                drawn = keras_weights.draw(layer.name, shapes)
                layer.set_weights([drawn[weight.name] for weight in layer.weights])
        logits = model.predict(images, verbose=0)
        outputs[build.__name__] = logits
        print(
            f'{build.__name__}: {model.count_params():,} parameters, up to {abs(logits).max():.3g}'
        )
    np.savez_compressed(ROOT / 'tests' / 'nets' / 'keras_outputs.npz', **outputs)


if __name__ == '__main__':
    main()
