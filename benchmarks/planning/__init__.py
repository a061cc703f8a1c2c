"""The planner's memory model, its time, and the data sets that it plans for."""
