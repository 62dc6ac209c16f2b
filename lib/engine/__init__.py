"""What has to be run, in which order, and how did it end, whatever the notebooks are about?"""
