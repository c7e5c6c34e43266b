"""Poison among ten thousand commands: what crashes the process, and what meets a defect, takes nobody along."""
