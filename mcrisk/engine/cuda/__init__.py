"""The CUDA backend: the program that `engine.native` writes, with the head for a device, launched through CuPy.

device.py   what is there and what is missing: CuPy, driver, device, NVRTC
kernel.py   compiling, memory of a launch, the launch
onhost.py   the same CUDA text compiled by a host C++ compiler (onhost.h stands in for the device), for tests and checks
"""
