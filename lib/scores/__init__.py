"""What do the saved predictions score, how sure is each number, and what does each step of the ladder change?"""
