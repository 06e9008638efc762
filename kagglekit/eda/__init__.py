"""Exploratory data analysis: the summary and the plots of `kagglekit look`."""
