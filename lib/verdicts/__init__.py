"""What is each printed number worth?"""
