"""What do the printed tables and the files say by themselves, before anything is trained?"""
