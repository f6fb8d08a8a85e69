"""The process `sense`: looks at the picture of one camera. RAM only: no frame leaves the process."""
