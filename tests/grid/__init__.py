"""The grid: every named point × every fault, one cell after another in one running Parley, and what is checked after each."""
