"""Plans: the translation of nnU-Net's plans, the planner for EAS U-Nets, the memory count, summaries and drawings."""
