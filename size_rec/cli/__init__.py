"""What the command line of size recommendation needs beside the measuring."""
