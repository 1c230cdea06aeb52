"""Devices and hosts: strategies, collectives, and the rendezvous of workers."""
