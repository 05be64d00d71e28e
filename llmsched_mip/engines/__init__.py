"""From and to the engines that run the requests: orders handed over, and how many workers it takes."""
