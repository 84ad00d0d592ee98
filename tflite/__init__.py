"""PoolFormers as .tflite files for LiteRT: conversion and its verification."""
