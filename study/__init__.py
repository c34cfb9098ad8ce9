"""The study told again: the runs behind docs/study.md, their numbers and the page itself.

`make study DATA=fer2013.tar.gz` trains what is missing (`study.train`), gathers the numbers into results/study/
(`study.numbers`) and writes the page (`study.page`), which needs neither faces nor torch.
"""
