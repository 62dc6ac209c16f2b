"""What is a study, and where does everything lie?"""
